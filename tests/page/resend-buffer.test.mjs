import assert from 'node:assert/strict';
import { test } from 'node:test';

import { ResendBuffer } from '../../web/connection/resend-buffer.js';

const PACKET_S = 0.04;

/** A packet of two bytes that holds its number. */
const packet = (number) => new Uint16Array([number]).buffer;
const named = (frame) => (typeof frame === 'string' ? frame : new Uint16Array(frame)[0]);

function taken(buffer) {
  const frames = [];
  for (let frame = buffer.takeNext(); frame !== null; frame = buffer.takeNext()) frames.push(named(frame));
  return frames;
}

function fill(buffer, from, to, isShed = false) {
  for (let number = from; number <= to; number += 1) buffer.add(packet(number), PACKET_S, isShed);
}

test('frames are sent once and in order', () => {
  const buffer = new ResendBuffer(10);
  buffer.add('start');
  fill(buffer, 1, 3);
  assert.deepEqual(taken(buffer), ['start', 1, 2, 3]);
  assert.deepEqual(taken(buffer), []);
});

test('missing frames are sent again, commands at their place among the packets', () => {
  for (let packets = 0; packets <= 6; packets += 1) {
    const buffer = new ResendBuffer(10);
    buffer.add('start');
    fill(buffer, 1, 3);
    buffer.add('stop');
    buffer.add('start');
    fill(buffer, 4, 6);
    taken(buffer);
    fill(buffer, 7, 8); // while disconnected
    const commands = packets < 3 ? 1 : 3;
    const all = ['start', 1, 2, 3, 'stop', 'start', 4, 5, 6, 7, 8];
    assert.deepEqual(buffer.resendAfter(packets, commands), { lostS: 0, recoveredS: 0 });
    const last = packets < 3 ? all.indexOf(packets || 'start') : packets === 3 ? 5 : all.indexOf(packets);
    assert.deepEqual(taken(buffer), all.slice(last + 1));
  }
});

test('numbering continues after one loss and after a second', () => {
  const buffer = new ResendBuffer(10);
  buffer.add('start');
  buffer.countUnbufferedCommand(); // a ping, which is not buffered
  fill(buffer, 1, 10);
  taken(buffer);
  buffer.resendAfter(4, 2);
  assert.deepEqual(taken(buffer), [5, 6, 7, 8, 9, 10]);
  buffer.resendAfter(9, 2);
  assert.deepEqual(taken(buffer), [10]);
  buffer.resendAfter(10, 2);
  assert.deepEqual(taken(buffer), []);
});

test('pings count as commands', () => {
  const buffer = new ResendBuffer(10);
  buffer.add('start');
  taken(buffer);
  for (let i = 0; i < 5; i += 1) buffer.countUnbufferedCommand();
  buffer.add('stop');
  taken(buffer);
  buffer.resendAfter(0, 6);
  assert.deepEqual(taken(buffer), ['stop']);
});

test('a second loss during resending neither repeats nor skips a frame', () => {
  const buffer = new ResendBuffer(10);
  fill(buffer, 1, 10);
  taken(buffer);
  buffer.resendAfter(2, 0);
  assert.deepEqual([buffer.takeNext(), buffer.takeNext()].map(named), [3, 4]);
  fill(buffer, 11, 12);
  buffer.resendAfter(3, 0);
  assert.deepEqual(taken(buffer), [4, 5, 6, 7, 8, 9, 10, 11, 12]);
});

test('shed packets stay out unless the connection was lost', () => {
  const buffer = new ResendBuffer(10);
  fill(buffer, 1, 2);
  fill(buffer, 3, 4, true);
  fill(buffer, 5, 5);
  fill(buffer, 6, 7, true);
  assert.deepEqual(taken(buffer), [1, 2, 5]);
  const { recoveredS } = buffer.resendAfter(3, 0); // the server has packet 5, so the gap before it stays
  assert.equal(recoveredS.toFixed(2), '0.08');
  assert.deepEqual(taken(buffer), [6, 7]);
});

test('the oldest audio is evicted first, and unsent audio is counted as lost', () => {
  const buffer = new ResendBuffer(10); // plus 15 s in flight
  fill(buffer, 1, 25 * 25);
  assert.equal(buffer.takeLostS(), 0);
  fill(buffer, 626, 650);
  assert.equal(buffer.takeLostS().toFixed(2), '1.00');
  assert.equal(buffer.takeLostS(), 0);
  assert.equal(taken(buffer)[0], 26);
});

test('audio that the server lacks and the buffer no longer has is counted as lost', () => {
  const buffer = fillFor(28);
  fill(buffer, 701, 750);
  assert.equal(buffer.resendAfter(50, 0).lostS.toFixed(2), '1.00');
  assert.equal(taken(buffer)[0], 76);
});

/** A buffer of 25 s after so many seconds of audio, each packet sent at once. */
function fillFor(seconds, holdFromS = Infinity) {
  let nowMs = 0;
  const buffer = new ResendBuffer(10, undefined, () => nowMs);
  buffer.holdFrom(holdFromS);
  for (let number = 1; number <= Math.round(seconds / PACKET_S); number += 1) {
    nowMs += PACKET_S * 1000;
    fill(buffer, number, number);
    taken(buffer);
  }
  return buffer;
}

test('what is held, or to be sent again, stays however long it is', () => {
  assert.equal(Math.round(fillFor(60).startS), 35);
  const buffer = fillFor(60, 10);
  assert.equal(Math.round(buffer.startS), 10);
  buffer.resendAfter(1500, 0);
  assert.equal(Math.round(buffer.startS), 10); // a new session may need what the server has
  const next = new ResendBuffer(10);
  next.addAgain(buffer.takeFrom(10));
  fill(next, 1501, 1510);
  assert.deepEqual([taken(next).length, next.takeLostS()], [1260, 0]);
});

test('the buffer is bounded in bytes', () => {
  const buffer = new ResendBuffer(10, 10);
  fill(buffer, 1, 20);
  assert.deepEqual(taken(buffer), [16, 17, 18, 19, 20]);
});

test('an unsent command is never evicted', () => {
  const buffer = new ResendBuffer(10);
  buffer.add('start');
  fill(buffer, 1, 1000);
  buffer.add('stop');
  const frames = taken(buffer);
  assert.deepEqual([frames[0], frames.at(-1), frames.length], ['start', 'stop', 627]);
});

test('without a grace period, only unsent frames are kept', () => {
  const buffer = new ResendBuffer(0);
  buffer.add('start');
  fill(buffer, 1, 3);
  fill(buffer, 4, 4, true);
  assert.deepEqual(taken(buffer), ['start', 1, 2, 3]);
  buffer.resendAfter(0, 0);
  assert.deepEqual(taken(buffer), []);
});

test('the buffer tells when the audio at a position was captured, also where it waited for a connection', () => {
  let nowMs = 0;
  const buffer = new ResendBuffer(10, undefined, () => nowMs);
  const second = (number) => buffer.add(new Uint16Array([number]).buffer, 1);
  second(1);
  taken(buffer);
  nowMs = 1000;
  second(2);
  nowMs = 2000;
  second(3);
  nowMs = 5000;
  taken(buffer);
  second(4);
  taken(buffer);
  assert.deepEqual([0.5, 1.5, 2.5, 3.5, 99].map((at) => buffer.capturedAtMs(at)), [0, 1000, 2000, 5000, 5000]);
  assert.equal(buffer.startS, 0);
  buffer.resendAfter(2, 0);
  nowMs = 9000;
  taken(buffer);
  assert.deepEqual([1.5, 2.5, 3.5].map((at) => buffer.capturedAtMs(at)), [1000, 2000, 5000], 'sending again changes nothing');
});

test('the end of a session returns unsent frames without shed ones', () => {
  const buffer = new ResendBuffer(10);
  fill(buffer, 1, 10);
  taken(buffer);
  fill(buffer, 11, 12, true);
  fill(buffer, 13, 37);
  assert.equal(buffer.hasUnsent, true);
  assert.deepEqual(buffer.takeFrom(Infinity).map(({ frame }) => named(frame)), Array.from({ length: 25 }, (_, i) => 13 + i));
  assert.equal(buffer.hasUnsent, false);
});
