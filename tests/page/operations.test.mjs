import assert from 'node:assert/strict';
import { test } from 'node:test';

import { HISTORY_SAMPLES, LaneHistory, busyShare, linePoints, roundTop } from '../../web/operations/operations-model.js';

const statistics = (count = 0, avgMs = 0) => ({ count, avgMs, maxMs: avgMs, p50Ms: avgMs, p95Ms: 2 * avgMs });
const worker = (count, avgMs) => ({ inferenceDuration: statistics(count, avgMs), totalLatency: statistics(count, avgMs) });
const metrics = (count, avgMs, queued = 0) => ({
  scheduler: { workers: { main: worker(count, avgMs) }, queues: { main: { queued } } },
});

test('busy is the share of time in which the engine worked since the previous sample', () => {
  assert.equal(busyShare(worker(10, 100), worker(15, 100), 1000), 0.5);
  assert.equal(busyShare(worker(10, 100), worker(10, 100), 1000), 0);
  assert.equal(busyShare(worker(0, 0), worker(100, 100), 1000), 1);
});

test('the history holds the values of each sample', () => {
  const history = new LaneHistory();
  history.push(metrics(0, 0, 3), 0);
  history.push(metrics(5, 100, 1), 2000);
  const { queued, busy, p50Ms, p95Ms } = history.of('main');
  assert.deepEqual([queued, busy, p50Ms, p95Ms], [[3, 1], [0.25], [0, 100], [0, 200]]);
});

test('only the last two minutes are kept', () => {
  const history = new LaneHistory();
  for (let i = 0; i < 3 * HISTORY_SAMPLES; i += 1) history.push(metrics(i, 10, i), i * 2000);
  assert.equal(history.of('main').queued.length, HISTORY_SAMPLES);
  assert.equal(history.of('main').queued.at(-1), 3 * HISTORY_SAMPLES - 1);
  assert.equal(history.of('main').busy.length, HISTORY_SAMPLES);
});

test('a restarted server and a pause start a new history', () => {
  const history = new LaneHistory();
  history.push(metrics(50, 100), 0);
  history.push(metrics(60, 100), 2000);
  history.push(metrics(1, 100), 4000);
  assert.equal(history.of('main').queued.length, 1);
  history.interrupt();
  assert.deepEqual(history.of('main').queued, []);
  history.push(metrics(2, 100), 90_000);
  assert.deepEqual(history.of('main').busy, []);
});

test('an unknown lane has an empty history', () => {
  assert.deepEqual(new LaneHistory().of('main'), { queued: [], busy: [], p50Ms: [], p95Ms: [] });
});

test('a chart line ends at the right edge and stays inside its frame', () => {
  assert.equal(linePoints([0, 5, 10, 99], 10, 59, 10), '56.0,10.0 57.0,5.0 58.0,0.0 59.0,0.0');
  assert.equal(linePoints([], 10, 59, 10), '');
});

test('the upper end is a round number not below any value', () => {
  assert.equal(roundTop([], 5), 5);
  assert.equal(roundTop([0.3], 1), 1);
  assert.equal(roundTop([7], 5), 10);
  assert.equal(roundTop([130], 100), 200);
  assert.equal(roundTop([1000], 100), 1000);
  for (let value = 1; value < 3000; value += 7) assert.ok(roundTop([value], 1) >= value);
});
