/**
 * When to try a lost connection again. It must not know sockets.
 *
 * The delay doubles with every failure up to a cap, and the upper half of it is random, so that the pages of a restarted
 * server do not all return in the same instant (the "equal jitter" of the usual back-off recipes).
 */

const FIRST_MS = 500;
const CAP_MS = 15_000;

/** A full server answers at once; asking it every half second would only keep it busy. */
const FULL_FIRST_MS = 5_000;
const FULL_CAP_MS = 30_000;

/**
 * @param {number} failures connections that failed in a row, at least 1
 * @param {{full?: boolean, random?: () => number}} [options] `full`: the server refused us for want of room
 * @returns {number} milliseconds to wait
 */
export function retryDelayMs(failures, { full = false, random = Math.random } = {}) {
  const first = full ? FULL_FIRST_MS : FIRST_MS;
  const cap = full ? FULL_CAP_MS : CAP_MS;
  const delay = Math.min(cap, first * 2 ** Math.min(failures - 1, 16));
  return Math.round(delay / 2 + random() * (delay / 2));
}

/** The next attempt, if one is due. */
export class Retry {
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  #attempt;
  #now;
  #random;

  /**
   * @param {() => void} attempt
   * @param {() => number} now milliseconds, monotonic
   * @param {() => number} random
   */
  constructor(attempt, now, random) {
    this.#attempt = attempt;
    this.#now = now;
    this.#random = random;
  }

  /**
   * @param {number} failures as for `retryDelayMs`
   * @param {boolean} full the same
   * @returns {number} when the attempt is due
   */
  plan(failures, full) {
    const delayMs = retryDelayMs(failures, { full, random: this.#random });
    this.#timer = setTimeout(this.#attempt, delayMs);
    return this.#now() + delayMs;
  }

  cancel() {
    clearTimeout(this.#timer);
  }
}
