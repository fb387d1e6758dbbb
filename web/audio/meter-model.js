/**
 * The state of the level meter: the waveform of the last seconds, the current level, and its peak.
 * It does not draw and does not capture.
 */

/** Lower end of the meter, dBFS: a silent room. */
export const FLOOR_DB = -60;

/** The peak mark stays for this many columns (2 s of 40 ms packets), then falls to the current level. */
const PEAK_HOLD_COLUMNS = 50;

/** More than any screen is wide. A hidden page draws none and must not collect columns without a bound. */
const MAX_COLUMNS = 1024;

/** Absolute sample value that counts as clipped. */
const CLIPPED = 0.99;

/** Ends of `meterLevel`'s scale, dBFS of the RMS: a quiet room, and close, loud speech. */
const QUIET_DB = -54;
const LOUD_DB = -9;

/** @typedef {{low: number, high: number, isClipped: boolean}} Column lowest and highest sample of a time slice, -1 to 1 */

/**
 * @param {Float32Array} samples range -1 to 1
 * @param {number} count number of columns, at least 1
 * @returns {Column[]}
 */
export function columnsOf(samples, count) {
  return Array.from({ length: count }, (_, i) => {
    let low = 0;
    let high = 0;
    const end = Math.round(((i + 1) * samples.length) / count);
    for (let at = Math.round((i * samples.length) / count); at < end; at += 1) {
      if (samples[at] < low) low = samples[at];
      else if (samples[at] > high) high = samples[at];
    }
    return { low: Math.max(low, -1), high: Math.min(high, 1), isClipped: Math.max(high, -low) >= CLIPPED };
  });
}

/**
 * @param {Float32Array} samples range -1 to 1
 * @returns {number} RMS in dBFS, FLOOR_DB to 0
 */
export function levelDb(samples) {
  let sum = 0;
  for (const value of samples) sum += value * value;
  const level = 10 * Math.log10(sum / Math.max(1, samples.length)); // -Infinity in silence
  return Number.isNaN(level) ? FLOOR_DB : Math.max(FLOOR_DB, Math.min(0, level));
}

/**
 * Loudness of one packet on the timeline's scale, linear in decibels.
 *
 * @param {Float32Array} samples range -1 to 1
 * @returns {number} 0 to 1
 */
export const meterLevel = (samples) => Math.max(0, Math.min(1, (levelDb(samples) - QUIET_DB) / (LOUD_DB - QUIET_DB)));

/** The newest columns, the current level, and its peak. */
export class MeterModel {
  /** @type {Column[]} oldest first */
  #columns = [];
  #columnsPerPacket;
  #peakAge = 0;
  level = FLOOR_DB;
  peak = FLOOR_DB;

  /** @param {number} columnsPerPacket */
  constructor(columnsPerPacket) {
    this.#columnsPerPacket = columnsPerPacket;
  }

  /** @param {Float32Array} samples one packet */
  push(samples) {
    this.#columns.push(...columnsOf(samples, this.#columnsPerPacket));
    if (this.#columns.length > 2 * MAX_COLUMNS) this.newest(MAX_COLUMNS);
    this.level = levelDb(samples);
    this.#peakAge += this.#columnsPerPacket;
    if (this.level >= this.peak || this.#peakAge > PEAK_HOLD_COLUMNS) {
      this.peak = this.level;
      this.#peakAge = 0;
    }
  }

  /**
   * @param {number} count how many columns the drawing has room for; older ones are dropped
   * @returns {Column[]} oldest first, `count` or fewer
   */
  newest(count) {
    this.#columns = this.#columns.slice(-Math.max(count, 1));
    return this.#columns;
  }

  /** Back to silence. */
  reset() {
    this.#columns = [];
    this.level = FLOOR_DB;
    this.peak = FLOOR_DB;
  }
}
