/**
 * The server's metrics over time: rates computed from its counters, and the history of each lane.
 * It does not fetch or draw.
 */

/** @import { Metrics, Statistics, WorkerReport } from '../connection/http-api.js' */

/** Two minutes at one sample every 2 s. */
export const HISTORY_SAMPLES = 60;

/**
 * @typedef {object} LaneSeries the values in the charts of one lane, newest last
 * @property {number[]} queued waiting jobs
 * @property {number[]} busy share of the time since the previous sample in which the engine worked, 0 to 1
 * @property {number[]} p50Ms of the recent jobs, from submission to result
 * @property {number[]} p95Ms
 */

/** @param {Statistics} statistics */
const totalMs = ({ count, avgMs }) => count * avgMs;

/**
 * How busy a lane was between two samples. Jobs of one batch run at the same time, so the sum of their durations may exceed
 * the elapsed time.
 *
 * @param {WorkerReport} before
 * @param {WorkerReport} now
 * @param {number} elapsedMs more than 0
 * @returns {number} 0 to 1
 */
export function busyShare(before, now, elapsedMs) {
  const workedMs = totalMs(now.inferenceDuration) - totalMs(before.inferenceDuration);
  return Math.max(0, Math.min(1, workedMs / elapsedMs));
}

/** The last two minutes of every lane. */
export class LaneHistory {
  /** @type {Map<string, LaneSeries>} */
  #lanes = new Map();
  /** @type {{metrics: Metrics, atMs: number} | null} */
  #last = null;

  /**
   * @param {Metrics} metrics
   * @param {number} atMs monotonic
   */
  push(metrics, atMs) {
    const before = this.#last;
    for (const [name, worker] of Object.entries(metrics.scheduler.workers)) {
      const earlier = before?.metrics.scheduler.workers[name];
      const isRestarted = earlier && earlier.inferenceDuration.count > worker.inferenceDuration.count;
      const series = (!isRestarted && this.#lanes.get(name)) || { queued: [], busy: [], p50Ms: [], p95Ms: [] };
      const isContinuous = before && earlier && !isRestarted && atMs > before.atMs;
      this.#lanes.set(name, {
        queued: append(series.queued, metrics.scheduler.queues[name]?.queued ?? 0),
        busy: isContinuous ? append(series.busy, busyShare(earlier, worker, atMs - before.atMs)) : series.busy,
        p50Ms: append(series.p50Ms, worker.totalLatency.p50Ms),
        p95Ms: append(series.p95Ms, worker.totalLatency.p95Ms),
      });
    }
    this.#last = { metrics, atMs };
  }

  /** Polling paused: the next sample does not continue the history. */
  interrupt() {
    this.#last = null;
    this.#lanes.clear();
  }

  /**
   * @param {string} name
   * @returns {LaneSeries}
   */
  of(name) {
    return this.#lanes.get(name) ?? { queued: [], busy: [], p50Ms: [], p95Ms: [] };
  }
}

/**
 * @param {number[]} values
 * @param {number} newest
 */
const append = (values, newest) => [...values, newest].slice(-HISTORY_SAMPLES);

/**
 * The points of a chart line. The newest value is at the right edge, also in a short history.
 *
 * @param {number[]} values newest last
 * @param {number} top value at the upper edge, more than 0
 * @param {number} width
 * @param {number} height
 * @param {number} [samples] values in a whole chart
 * @returns {string} for SVG's `points` attribute
 */
export function linePoints(values, top, width, height, samples = HISTORY_SAMPLES) {
  const step = width / (samples - 1);
  return values
    .map((value, i) => {
      const x = width - (values.length - 1 - i) * step;
      const y = height - (Math.min(value, top) / top) * height;
      return `${x.toFixed(1)},${y.toFixed(1)}`;
    })
    .join(' ');
}

/**
 * A round upper end for a chart: at least the highest value.
 *
 * @param {number[]} values
 * @param {number} least the result is no lower
 * @returns {number} 1, 2 or 5 times a power of ten
 */
export function roundTop(values, least) {
  const most = Math.max(least, ...values);
  const power = 10 ** Math.floor(Math.log10(most));
  return /** @type {number} */ ([1, 2, 5, 10].map((factor) => factor * power).find((top) => top >= most * 0.9999));
}
