/**
 * When to try a lost connection again. It must not know sockets or timers.
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
