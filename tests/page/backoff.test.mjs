import assert from 'node:assert/strict';
import { test } from 'node:test';

import { retryDelayMs } from '../../web/connection/backoff.js';

const delays = (options) => Array.from({ length: 9 }, (_, i) => retryDelayMs(i + 1, options));

test('delays double up to a cap', () => {
  assert.deepEqual(delays({ random: () => 1 }), [500, 1000, 2000, 4000, 8000, 15_000, 15_000, 15_000, 15_000]);
});

test('the upper half of each delay is jitter, and no delay is zero', () => {
  assert.deepEqual(delays({ random: () => 0 }), [250, 500, 1000, 2000, 4000, 7500, 7500, 7500, 7500]);
});

test('a full server is retried less often', () => {
  assert.deepEqual(delays({ isFull: true, random: () => 1 }).slice(0, 4), [5000, 10_000, 20_000, 30_000]);
});

test('very many failures still give a finite delay', () => {
  assert.equal(retryDelayMs(100_000, { random: () => 1 }), 15_000);
});
