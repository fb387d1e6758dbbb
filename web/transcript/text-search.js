/**
 * Text search that ignores case, accents, and the length of white space. Pure functions.
 */

/** @typedef {{start: number, end: number}} Match range in a text, in code units; `end` is exclusive */

/** ASCII without double spaces: folding only changes the case, so positions stay. */
const ASCII = /^(?:[!-~]| (?! ))*$/;

/**
 * Fold a text for comparison, and keep the position of each folded character.
 *
 * @param {string} text
 * @returns {{folded: string, starts?: number[], ends?: number[]}} for each code unit of `folded`, the range of its original;
 *   absent where positions are unchanged
 */
function fold(text) {
  if (ASCII.test(text)) return { folded: text.toLowerCase() };
  let folded = '';
  /** @type {number[]} */
  const starts = [];
  /** @type {number[]} */
  const ends = [];
  let at = 0;
  for (const character of text) {
    // Compatibility decomposition without combining marks: é, ﬁ and ① become e, fi and 1. Only U+0300 to U+036F are removed,
    // the marks of Latin, Greek and Cyrillic, because in other scripts a mark is a vowel.
    let plain = character.normalize('NFKD').replace(/[\u0300-\u036f]/g, '').toLowerCase();
    if (/^\s+$/u.test(plain)) plain = folded.endsWith(' ') ? '' : ' ';
    const end = at + character.length;
    for (let i = 0; i < plain.length; i += 1) {
      starts.push(at);
      ends.push(end);
    }
    // A removed mark or space belongs to the character before it.
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
    if (match.start >= (found.at(-1)?.end ?? 0)) found.push(match); // not the second half of one letter that folds to two, such as ﬀ
  }
  return found;
}

/**
 * @param {number} current index of the current match, or -1 for none
 * @param {number} count
 * @param {1 | -1} step
 * @returns {number} index of the next match, wrapping at both ends; -1 without matches
 */
export function stepMatch(current, count, step) {
  if (count === 0) return -1;
  if (current < 0) return step > 0 ? 0 : count - 1;
  return (current + step + count) % count;
}
