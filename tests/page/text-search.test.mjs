import assert from 'node:assert/strict';
import { test } from 'node:test';

import { findMatches, stepMatch } from '../../web/transcript/text-search.js';

/** The matched parts of the text. */
const found = (text, query) => findMatches(text, query).map(({ start, end }) => text.slice(start, end));

test('every occurrence is found at its position, in order', () => {
  const places = [{ start: 0, end: 3 }, { start: 8, end: 11 }];
  assert.deepEqual(findMatches('one two one', 'one'), places);
  assert.deepEqual(findMatches('one twö one', 'one'), places);
});

test('case, accents and runs of spaces are ignored, and ranges cover the original text', () => {
  assert.deepEqual(found('Café au  LAIT, cafe\u0301', 'CAFE'), ['Café', 'cafe\u0301']);
  assert.deepEqual(found('au \n lait', ' au lait '), ['au \n lait']);
  assert.deepEqual(found('İstanbul', 'istanbul'), ['İstanbul']);
  assert.deepEqual(found('Dvořák', 'řák'), ['řák']);
});

test('folded letters and surrogate pairs keep their positions', () => {
  assert.deepEqual(found('𝒜 ofﬁce 😀 office', 'office'), ['ofﬁce', 'office']);
  assert.deepEqual(found('oﬀ', 'f'), ['ﬀ']);
  assert.deepEqual(found('a 😀 b', '😀 b'), ['😀 b']);
});

test('vowel signs of other scripts are not accents', () => {
  assert.deepEqual(found('की का', 'का'), ['का']);
  assert.deepEqual(found('שלום עולם', 'עולם'), ['עולם']);
});

test('an empty query finds nothing, and pattern characters are literal', () => {
  assert.deepEqual(findMatches('a b', ' '), []);
  assert.deepEqual(findMatches('', 'a'), []);
  assert.deepEqual(found('1+1 (a.b)', '(a.b'), ['(a.b']);
});

test('matches do not overlap', () => {
  assert.equal(findMatches('aaaaa', 'aa').length, 2);
});

test('stepping wraps at both ends', () => {
  assert.deepEqual([stepMatch(-1, 3, 1), stepMatch(-1, 3, -1), stepMatch(2, 3, 1), stepMatch(0, 3, -1)], [0, 2, 0, 2]);
  assert.equal(stepMatch(1, 0, 1), -1);
});
