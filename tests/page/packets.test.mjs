import assert from 'node:assert/strict';
import { test } from 'node:test';

import { meterLevel } from '../../web/audio/meter-model.js';
import { encodePacket, SHED_ABOVE_MS, SHED_UNTIL_MS, LoadShedder, toPcm16 } from '../../web/audio/packets.js';

/** Reads a packet as docs/protocol.md, Audio packets, describes it, independently of the encoder. */
function decode(frame) {
  const view = new DataView(frame);
  const metadataBytes = view.getUint32(0, true);
  const metadata = JSON.parse(new TextDecoder().decode(new Uint8Array(frame, 4, metadataBytes)));
  const pcm = [];
  for (let at = 4 + metadataBytes; at < frame.byteLength; at += 2) pcm.push(view.getInt16(at, true));
  return { metadata, pcm };
}

test('a packet carries its metadata and every sample', () => {
  const { metadata, pcm } = decode(encodePacket(Float32Array.of(0, 0.5, -0.5, 1, -1), 48_000, 12.5));
  assert.deepEqual(metadata, { sampleRate: 48_000, channels: 1, format: 'pcm_s16le', frames: 5, sentAt: 12.5 });
  assert.deepEqual(pcm, [0, 16_383, -16_384, 32_767, -32_768]);
});

test('the sample rate is an integer on the wire', () => {
  assert.equal(decode(encodePacket(new Float32Array(4), 44_099.99, 0)).metadata.sampleRate, 44_100);
});

test('samples out of range are clamped, and NaN becomes silence', () => {
  assert.deepEqual([...toPcm16(Float32Array.of(1.7, -9, Infinity, -Infinity, NaN))], [32_767, -32_768, 32_767, -32_768, 0]);
});

test('shedding starts above its upper threshold and ends at its lower one', () => {
  const rateHz = 48_000;
  const bytes = (ms) => (ms * rateHz * 2) / 1000;
  const shedder = new LoadShedder();
  const shouldShed = (ms) => shedder.shouldShed(bytes(ms), rateHz);
  assert.equal(shouldShed(SHED_ABOVE_MS), false);
  assert.equal(shouldShed(SHED_ABOVE_MS + 1), true);
  assert.equal(shouldShed(SHED_UNTIL_MS + 1), true, 'one gap, not many');
  assert.equal(shouldShed(SHED_UNTIL_MS), false);
  assert.equal(shouldShed(SHED_UNTIL_MS + 1), false);
});

test('the level is 0 in silence, 1 for loud speech, and linear in decibels between', () => {
  const levelAt = (rmsDb) => meterLevel(new Float32Array(64).fill(10 ** (rmsDb / 20)));
  assert.equal(meterLevel(new Float32Array(64)), 0);
  assert.equal(meterLevel(new Float32Array(0)), 0);
  assert.equal(levelAt(-60), 0);
  assert.equal(levelAt(0), 1);
  assert.ok(Math.abs(levelAt(-31.5) - 0.5) < 1e-6);
  assert.ok(Math.abs(levelAt(-20.25) - 0.75) < 1e-6);
});
