import assert from 'node:assert/strict';
import { test } from 'node:test';

import { FLOOR_DB, MeterModel, columnsOf, levelDb } from '../../web/audio/meter-model.js';

test('a column holds the lowest and highest sample of its part', () => {
  const samples = Float32Array.of(0, 0.5, -0.25, 0.125, -0.5, 0);
  assert.deepEqual(columnsOf(samples, 2), [
    { low: -0.25, high: 0.5, isClipped: false },
    { low: -0.5, high: 0.125, isClipped: false },
  ]);
});

test('samples out of range are clamped and marked as clipped', () => {
  assert.deepEqual(columnsOf(Float32Array.of(0.1, -2), 1), [{ low: -1, high: Math.fround(0.1), isClipped: true }]);
});

test('there may be more columns than samples', () => {
  assert.equal(columnsOf(Float32Array.of(0.5), 3).length, 3);
  assert.deepEqual(columnsOf(new Float32Array(0), 1), [{ low: 0, high: 0, isClipped: false }]);
});

test('the level is the RMS in decibels, from the floor to full scale', () => {
  assert.equal(levelDb(new Float32Array(8)), FLOOR_DB);
  assert.equal(levelDb(new Float32Array(0)), FLOOR_DB);
  assert.equal(Math.abs(levelDb(new Float32Array(8).fill(1))), 0);
  assert.equal(levelDb(new Float32Array(8).fill(9)), 0);
  assert.ok(Math.abs(levelDb(new Float32Array(8).fill(0.1)) + 20) < 0.001);
});

test('a peak stays for a while, then falls to the level', () => {
  const model = new MeterModel(1);
  model.push(new Float32Array(8).fill(1));
  for (let i = 0; i < 50; i += 1) model.push(new Float32Array(8).fill(0.01));
  assert.equal(model.peak, 0);
  model.push(new Float32Array(8).fill(0.01));
  assert.ok(Math.abs(model.peak + 40) < 0.001);
});

test('a page that draws nothing keeps a bounded number of columns', () => {
  const model = new MeterModel(1);
  for (let i = 0; i < 90_000; i += 1) model.push(new Float32Array(8));
  assert.ok(model.newest(1_000_000).length <= 2048);
});

test('only visible columns are kept, and reset removes all', () => {
  const model = new MeterModel(2);
  for (let i = 0; i < 100; i += 1) model.push(new Float32Array(8).fill(i / 100));
  assert.equal(model.newest(30).length, 30);
  assert.equal(model.newest(1000).length, 30);
  assert.equal(model.newest(30).at(-1).high, Math.fround(0.99));
  model.reset();
  assert.deepEqual([model.newest(30), model.level, model.peak], [[], FLOOR_DB, FLOOR_DB]);
});
