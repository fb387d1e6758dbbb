/**
 * The Operations view: polls the server's metrics while the view is visible.
 * It does not draw them.
 */

import { ApiError, fetchHistory, fetchMetrics } from '../connection/http-api.js';
import { LaneHistory } from './operations-model.js';
import { OperationsView } from './operations-view.js';

const POLL_EVERY_MS = 2000;

/** The server adds to its last hour this often. */
const HISTORY_EVERY_MS = 10_000;

/** HTTP statuses after which only another key helps. */
const UNAUTHORIZED = new Set([401, 403]);

export class Operations {
  #history = new LaneHistory();
  #isShown = false;
  #historyAtMs = -Infinity;
  /** Counts polling runs, so that the response to an outdated request is recognised. */
  #round = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  #view;
  #ownSession;

  /**
   * @param {HTMLElement} area
   * @param {() => string} ownSession the id of this page's session, or ''
   */
  constructor(area, ownSession) {
    this.#view = new OperationsView(area);
    this.#ownSession = ownSession;
    document.addEventListener('visibilitychange', () => this.#restart());
  }

  /** @param {boolean} isShown */
  show(isShown) {
    this.#isShown = isShown;
    this.#restart();
  }

  #restart() {
    clearTimeout(this.#timer);
    this.#round += 1;
    if (!this.#isShown || document.hidden) {
      this.#history.interrupt();
    } else {
      void this.#poll(this.#round);
    }
  }

  /** @param {number} round */
  async #poll(round) {
    try {
      const isHistoryDue = performance.now() - this.#historyAtMs > HISTORY_EVERY_MS;
      const [metrics, lastHour] = await Promise.all([fetchMetrics(), isHistoryDue ? fetchHistory() : null]);
      if (round !== this.#round) return;
      if (lastHour) {
        this.#historyAtMs = performance.now();
        this.#view.drawHistory(lastHour);
      }
      this.#history.push(metrics, performance.now());
      this.#view.draw(metrics, this.#history, this.#ownSession());
    } catch (error) {
      if (round !== this.#round) return;
      this.#history.interrupt();
      this.#view.fail(/** @type {Error} */ (error).message);
      if (error instanceof ApiError && UNAUTHORIZED.has(error.status)) return; // `show` restarts it with another key
    }
    this.#timer = setTimeout(() => void this.#poll(round), POLL_EVERY_MS);
  }
}
