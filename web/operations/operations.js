/**
 * The view of operations: asks the server for its figures while somebody looks, and only then.
 * It must not draw them.
 */

import { ApiError, fetchMetrics } from '../connection/http-api.js';
import { LaneHistory } from './operations-model.js';
import { OperationsView } from './operations-view.js';

const ASK_EVERY_MS = 2000;

const REFUSED = new Set([401, 403]);

export class Operations {
  #history = new LaneHistory();
  #isShown = false;
  /** Counts what was asked, so that an answer that nobody waits for any more is known. */
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
    document.addEventListener('visibilitychange', () => this.#follow());
  }

  /** @param {boolean} isShown */
  show(isShown) {
    this.#isShown = isShown;
    this.#follow();
  }

  #follow() {
    clearTimeout(this.#timer);
    this.#round += 1;
    if (!this.#isShown || document.hidden) {
      this.#history.interrupt();
    } else {
      void this.#ask(this.#round);
    }
  }

  /** @param {number} round */
  async #ask(round) {
    try {
      const metrics = await fetchMetrics();
      if (round !== this.#round) return;
      this.#history.push(metrics, performance.now());
      this.#view.draw(metrics, this.#history, this.#ownSession());
    } catch (error) {
      if (round !== this.#round) return;
      this.#history.interrupt();
      this.#view.fail(/** @type {Error} */ (error).message);
      if (error instanceof ApiError && REFUSED.has(error.status)) return; // until there is another key
    }
    this.#timer = setTimeout(() => void this.#ask(round), ASK_EVERY_MS);
  }
}
