/**
 * Finding words in texts as people mean them: case, accents and runs of spaces make no difference. Pure.
 * It must not know blocks or the DOM.
 */

/** @typedef {{start: number, end: number}} Match where in a text: code units, `end` excluded */

/** Most of English: nothing to fold but case. */
const PLAIN = /^(?:[!-~]| (?! ))*$/;

/**
 * A text as it is compared, and where each of its characters came from.
 *
 * @param {string} text
 * @returns {{folded: string, starts?: number[], ends?: number[]}} for each code unit of `folded`, its origin's bounds;
 *   absent where every character stands in its own place
 */
function fold(text) {
  if (PLAIN.test(text)) return { folded: text.toLowerCase() };
  let folded = '';
  /** @type {number[]} */
  const starts = [];
  /** @type {number[]} */
  const ends = [];
  let at = 0;
  for (const character of text) {
    // Compatibility forms, without the marks that they set apart: é, ﬁ and ① become e, fi and 1. Only the marks of
    // Latin, Greek and Cyrillic go (U+0300 to U+036F): in other scripts a mark is a vowel.
    let plain = character.normalize('NFKD').replace(/[\u0300-\u036f]/g, '').toLowerCase();
    if (/^\s+$/u.test(plain)) plain = folded.endsWith(' ') ? '' : ' ';
    const end = at + character.length;
    for (let i = 0; i < plain.length; i += 1) {
      starts.push(at);
      ends.push(end);
    }
    // A combining mark or one more space belongs to what precedes it.
    if (!plain && ends.length > 0) ends[ends.length - 1] = end;
    folded += plain;
    at = end;
  }
  return { folded, starts, ends };
}

/**
 * @param {string} text
 * @param {string} query
 * @returns {Match[]} in order, none overlapping; none for a query without characters
 */
export function findMatches(text, query) {
  const wanted = fold(query.trim()).folded;
  if (!wanted) return [];
  const { folded, starts, ends } = fold(text);
  /** @type {Match[]} */
  const found = [];
  for (let at = folded.indexOf(wanted); at >= 0; at = folded.indexOf(wanted, at + wanted.length)) {
    const last = at + wanted.length - 1;
    const match = { start: starts?.[at] ?? at, end: ends?.[last] ?? last + 1 };
    if (match.start >= (found.at(-1)?.end ?? 0)) found.push(match); // one letter may fold to two: ﬀ
  }
  return found;
}

/**
 * @param {number} current index of the match looked at, or -1 for none
 * @param {number} count
 * @param {1 | -1} step
 * @returns {number} the next one, round the ends; -1 where there is none
 */
export function stepMatch(current, count, step) {
  if (count === 0) return -1;
  if (current < 0) return step > 0 ? 0 : count - 1;
  return (current + step + count) % count;
}
