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
 * @param {number} seconds position in a file
 * @returns {string} such as `0:05` or `1:02:03`
 */
export function positionLabel(seconds) {
  const two = (/** @type {number} */ value) => String(Math.floor(value)).padStart(2, '0');
  const [hours, minutes] = [Math.floor(seconds / 3600), (seconds / 60) % 60];
  return `${hours > 0 ? `${hours}:${two(minutes)}` : Math.floor(minutes)}:${two(seconds % 60)}`;
}

const DAY_AND_TIME = new Intl.DateTimeFormat('en-GB', { day: 'numeric', month: 'long', hour: '2-digit', minute: '2-digit' });

/**
 * @param {number} atMs milliseconds since the epoch
 * @returns {string} such as `17 March at 17:46`, local time
 */
export const dayAndTime = (atMs) => DAY_AND_TIME.format(new Date(atMs));

/**
 * @param {number} seconds more than 0
 * @returns {string} such as `0.4 s` or `12 s`; never `0.0 s`
 */
export const secondsLabel = (seconds) => `${seconds < 9.95 ? Math.max(0.1, seconds).toFixed(1) : Math.round(seconds)} s`;
