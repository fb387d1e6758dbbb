import assert from 'node:assert/strict';
import { test } from 'node:test';

import { retryDelayMs } from '../../web/connection/backoff.js';

const delays = (options) => Array.from({ length: 9 }, (_, i) => retryDelayMs(i + 1, options));

test('delays double up to a cap', () => {
  assert.deepEqual(delays({ random: () => 1 }), [500, 1000, 2000, 4000, 8000, 15_000, 15_000, 15_000, 15_000]);
});

test('half of each delay is jitter, and none is ever nothing', () => {
  assert.deepEqual(delays({ random: () => 0 }), [250, 500, 1000, 2000, 4000, 7500, 7500, 7500, 7500]);
});

test('a full server is asked less often', () => {
  assert.deepEqual(delays({ full: true, random: () => 1 }).slice(0, 4), [5000, 10_000, 20_000, 30_000]);
});

test('a night of failures is still a number', () => {
  assert.equal(retryDelayMs(100_000, { random: () => 1 }), 15_000);
});
