/**
 * What the server's figures say over time: rates from its counters, and the last minutes of each.
 * It must not fetch or draw anything.
 */

/** @import { Metrics, Statistics, WorkerReport } from '../connection/http-api.js' */

/** Two minutes at one sample in two seconds. */
export const KEPT_SAMPLES = 60;

/**
 * @typedef {object} LaneFigures what the charts of one lane show; each newest last
 * @property {number[]} queued jobs that wait
 * @property {number[]} busy share of the time since the sample before in which the engine worked, 0 to 1
 * @property {number[]} p50Ms of the recent jobs, from submission to result
 * @property {number[]} p95Ms
 */

/** @param {Statistics} statistics */
const totalMs = ({ count, avgMs }) => count * avgMs;

/**
 * How busy a lane was between two samples. Jobs that run together share one engine, so the sum may exceed the time.
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

/** The last minutes of every lane. */
export class LaneHistory {
  /** @type {Map<string, LaneFigures>} */
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
      const figures = (!isRestarted && this.#lanes.get(name)) || { queued: [], busy: [], p50Ms: [], p95Ms: [] };
      const isNeighbour = before && earlier && !isRestarted && atMs > before.atMs;
      this.#lanes.set(name, {
        queued: keep(figures.queued, metrics.scheduler.queues[name]?.queued ?? 0),
        busy: isNeighbour ? keep(figures.busy, busyShare(earlier, worker, atMs - before.atMs)) : figures.busy,
        p50Ms: keep(figures.p50Ms, worker.totalLatency.p50Ms),
        p95Ms: keep(figures.p95Ms, worker.totalLatency.p95Ms),
      });
    }
    this.#last = { metrics, atMs };
  }

  /** A pause in which nobody looked: what comes next is no neighbour of what was before. */
  interrupt() {
    this.#last = null;
    this.#lanes.clear();
  }

  /**
   * @param {string} name
   * @returns {LaneFigures}
   */
  of(name) {
    return this.#lanes.get(name) ?? { queued: [], busy: [], p50Ms: [], p95Ms: [] };
  }
}

/**
 * @param {number[]} figures
 * @param {number} newest
 */
const keep = (figures, newest) => [...figures, newest].slice(-KEPT_SAMPLES);

/**
 * The points of a line, newest at the right edge, whatever there is of it.
 *
 * @param {number[]} figures newest last
 * @param {number} top the value at the upper edge, more than 0
 * @param {number} width
 * @param {number} height
 * @returns {string} as SVG's `points` has them
 */
export function linePoints(figures, top, width, height) {
  const step = width / (KEPT_SAMPLES - 1);
  return figures
    .map((value, i) => {
      const x = width - (figures.length - 1 - i) * step;
      const y = height - (Math.min(value, top) / top) * height;
      return `${x.toFixed(1)},${y.toFixed(1)}`;
    })
    .join(' ');
}

/**
 * A round number that is no less than any of the figures.
 *
 * @param {number[]} figures
 * @param {number} least
 * @returns {number} 1, 2 or 5 times a power of ten
 */
export function roundTop(figures, least) {
  const most = Math.max(least, ...figures);
  const power = 10 ** Math.floor(Math.log10(most));
  return /** @type {number} */ ([1, 2, 5, 10].map((factor) => factor * power).find((top) => top >= most * 0.9999));
}
