import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Pacer } from '../../web/audio/pacer.js';

const RATE_HZ = 16_000;
const PACKET_MS = 40;
const PACKET = 640;

/** Everything that a pacer gives while its clock is asked at these times. */
function played(pacer, timesMs, isReady = () => true) {
  return timesMs.flatMap((nowMs) => pacer.take(nowMs, isReady(nowMs)));
}

const every = (stepMs, untilMs) => Array.from({ length: Math.floor(untilMs / stepMs) + 1 }, (_, i) => 1000 + i * stepMs);

/** Every sample once and in order. */
function assertWhole(ranges, length) {
  assert.deepEqual(ranges.map(([from]) => from), [0, ...ranges.slice(0, -1).map(([, to]) => to)]);
  assert.equal(ranges.at(-1)[1], length);
}

for (const stepMs of [7, 40, 250, 1000]) {
  test(`asked every ${stepMs} ms it gives each sample once, none before its time`, () => {
    const length = 3 * RATE_HZ + 100;
    const pacer = new Pacer(length, RATE_HZ, PACKET_MS);
    const ranges = [];
    for (const nowMs of every(stepMs, 6000)) {
      for (const range of pacer.take(nowMs, true)) {
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

test('it keeps the pace of speech', () => {
  const pacer = new Pacer(60 * RATE_HZ, RATE_HZ, PACKET_MS);
  played(pacer, every(40, 10_000));
  assert.ok(Math.abs(pacer.playedS - 10) <= 0.08);
});

test('while nobody is ready nothing is lost, and nothing is hurried afterwards', () => {
  const length = 5 * RATE_HZ;
  const pacer = new Pacer(length, RATE_HZ, PACKET_MS);
  const isReady = (nowMs) => nowMs < 2000 || nowMs > 9000;
  const ranges = played(pacer, every(40, 8040), isReady);
  assert.ok(Math.abs(ranges.at(-1)[1] / RATE_HZ - 1) <= 0.1);
  ranges.push(...played(pacer, every(40, 20_000).filter((nowMs) => nowMs > 9040)));
  assertWhole(ranges, length);
});

test('after a long sleep of the timer it catches up little at once', () => {
  const pacer = new Pacer(600 * RATE_HZ, RATE_HZ, PACKET_MS);
  played(pacer, [1000, 1040]);
  const first = played(pacer, [301_000]);
  assert.ok(first.length * PACKET_MS <= 2000);
  const next = played(pacer, [301_040]);
  assert.ok(next.length <= 1);
});

test('an empty recording is done at once', () => {
  const pacer = new Pacer(0, RATE_HZ, PACKET_MS);
  assert.deepEqual(pacer.take(0, true), []);
  assert.equal(pacer.isDone, true);
});
