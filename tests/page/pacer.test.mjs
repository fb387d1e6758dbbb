import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Pacer } from '../../web/audio/pacer.js';

const RATE_HZ = 16_000;
const PACKET_MS = 40;
const PACKET = 640;

/** All ranges that are due at these times. */
function played(pacer, timesMs, isReady = () => true) {
  return timesMs.flatMap((nowMs) => pacer.takeDue(nowMs, isReady(nowMs)));
}

const every = (stepMs, untilMs) => Array.from({ length: Math.floor(untilMs / stepMs) + 1 }, (_, i) => 1000 + i * stepMs);

/** Asserts that the ranges cover every sample once, in order. */
function assertWhole(ranges, length) {
  assert.deepEqual(ranges.map(([from]) => from), [0, ...ranges.slice(0, -1).map(([, to]) => to)]);
  assert.equal(ranges.at(-1)[1], length);
}

for (const stepMs of [7, 40, 250, 1000]) {
  test(`a timer of ${stepMs} ms gives each sample once, and none too early`, () => {
    const length = 3 * RATE_HZ + 100;
    const pacer = new Pacer(length, RATE_HZ, PACKET_MS);
    const ranges = [];
    for (const nowMs of every(stepMs, 6000)) {
      for (const range of pacer.takeDue(nowMs, true)) {
        assert.ok(range[1] <= ((nowMs - 1000) * RATE_HZ) / 1000);
        ranges.push(range);
      }
    }
    assertWhole(ranges, length);
    assert.ok(ranges.slice(0, -1).every(([from, to]) => to - from === PACKET));
    assert.equal(pacer.isDone, true);
    assert.equal(pacer.playedS, length / RATE_HZ);
  });
}

test('a recording is paced in real time', () => {
  const pacer = new Pacer(60 * RATE_HZ, RATE_HZ, PACKET_MS);
  played(pacer, every(40, 10_000));
  assert.ok(Math.abs(pacer.playedS - 10) <= 0.08);
});

test('a pause skips nothing, and nothing is hurried after it', () => {
  const length = 5 * RATE_HZ;
  const pacer = new Pacer(length, RATE_HZ, PACKET_MS);
  const isReady = (nowMs) => nowMs < 2000 || nowMs > 9000;
  const ranges = played(pacer, every(40, 8040), isReady);
  assert.ok(Math.abs(ranges.at(-1)[1] / RATE_HZ - 1) <= 0.1);
  ranges.push(...played(pacer, every(40, 20_000).filter((nowMs) => nowMs > 9040)));
  assertWhole(ranges, length);
});

test('a long sleep of the timer is caught up only in part', () => {
  const pacer = new Pacer(600 * RATE_HZ, RATE_HZ, PACKET_MS);
  played(pacer, [1000, 1040]);
  const first = played(pacer, [301_000]);
  assert.ok(first.length * PACKET_MS <= 2000);
  const next = played(pacer, [301_040]);
  assert.ok(next.length <= 1);
});

test('an empty recording is done at once', () => {
  const pacer = new Pacer(0, RATE_HZ, PACKET_MS);
  assert.deepEqual(pacer.takeDue(0, true), []);
  assert.equal(pacer.isDone, true);
});
