/**
 * Exponential back-off with jitter for connection attempts. It knows no sockets.
 *
 * The delay doubles with every failure up to a cap, and its upper half is random ("equal jitter"), so that the pages of a
 * restarted server do not all reconnect at the same instant.
 */

const FIRST_MS = 500;
const CAP_MS = 15_000;

/** A full server rejects at once, and asking more often only adds load. */
const FULL_FIRST_MS = 5_000;
const FULL_CAP_MS = 30_000;

/**
 * @param {number} failures failed attempts in a row, at least 1
 * @param {{isFull?: boolean, random?: () => number}} [options] `isFull`: the server rejected the last attempt for lack of room
 * @returns {number} milliseconds to wait
 */
export function retryDelayMs(failures, { isFull = false, random = Math.random } = {}) {
  const first = isFull ? FULL_FIRST_MS : FIRST_MS;
  const cap = isFull ? FULL_CAP_MS : CAP_MS;
  const delay = Math.min(cap, first * 2 ** Math.min(failures - 1, 16));
  return Math.round(delay / 2 + random() * (delay / 2));
}

/** Starts the next connection attempt when it is due. */
export class RetryTimer {
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
   * @param {boolean} isFull likewise
   * @returns {number} when the attempt is due
   */
  schedule(failures, isFull) {
    const delayMs = retryDelayMs(failures, { isFull, random: this.#random });
    this.#timer = setTimeout(this.#attempt, delayMs);
    return this.#now() + delayMs;
  }

  cancel() {
    clearTimeout(this.#timer);
  }
}
