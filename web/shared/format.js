/**
 * Durations and times of day as the page shows them.
 */

const TIME_OF_DAY = new Intl.DateTimeFormat(undefined, {
  hour: '2-digit',
  minute: '2-digit',
  second: '2-digit',
  hourCycle: 'h23',
});

/**
 * @param {number} atMs milliseconds since the epoch
 * @returns {string} such as `17:46:03`, local time
 */
export const timeOfDay = (atMs) => TIME_OF_DAY.format(new Date(atMs));

/**
 * @param {number} seconds more than 0
 * @returns {string} such as `0.4 s` or `12 s`; never `0.0 s`
 */
export const secondsLabel = (seconds) => `${seconds < 9.95 ? Math.max(0.1, seconds).toFixed(1) : Math.round(seconds)} s`;
