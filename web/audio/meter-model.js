/**
 * What the meter shows: the outline of the last seconds of sound, and how loud it is now.
 * It must not draw or hear anything.
 */

/** Below this a room is silent to people. */
export const FLOOR_DB = -60;

/** A peak mark holds its place for this many columns, then falls with the sound. */
const PEAK_HOLD_COLUMNS = 50;

/** More than any screen shows; a page that nobody looks at draws none and must not gather them. */
const MOST_COLUMNS = 1024;

/** From here on a sample counts as clipped. */
const CLIPPED = 0.99;

/** @typedef {{low: number, high: number, isClipped: boolean}} Column extremes of a stretch of sound, -1 to 1 */

/**
 * @param {Float32Array} samples range -1 to 1
 * @param {number} count how many columns it makes, at least 1
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
  const level = 10 * Math.log10(sum / Math.max(1, samples.length));
  return Number.isNaN(level) ? FLOOR_DB : Math.max(FLOOR_DB, Math.min(0, level));
}

/** The newest columns, the level, and its peak. */
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
    if (this.#columns.length > 2 * MOST_COLUMNS) this.newest(MOST_COLUMNS);
    this.level = levelDb(samples);
    this.#peakAge += this.#columnsPerPacket;
    if (this.level >= this.peak || this.#peakAge > PEAK_HOLD_COLUMNS) {
      this.peak = this.level;
      this.#peakAge = 0;
    }
  }

  /**
   * @param {number} count how many fit; older ones are forgotten
   * @returns {Column[]} oldest first, `count` or fewer
   */
  newest(count) {
    this.#columns = this.#columns.slice(-Math.max(count, 1));
    return this.#columns;
  }

  /** Fall silent. */
  reset() {
    this.#columns = [];
    this.level = FLOOR_DB;
    this.peak = FLOOR_DB;
  }
}
