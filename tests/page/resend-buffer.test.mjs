import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Journal } from '../../web/connection/resend-buffer.js';

const PACKET_S = 0.04;

/** A packet of two bytes that says which one it is. */
const packet = (number) => new Uint16Array([number]).buffer;
const named = (frame) => (typeof frame === 'string' ? frame : new Uint16Array(frame)[0]);

function taken(journal) {
  const frames = [];
  for (let frame = journal.take(); frame !== null; frame = journal.take()) frames.push(named(frame));
  return frames;
}

function hears(journal, from, to, isShed = false) {
  for (let number = from; number <= to; number += 1) journal.add(packet(number), PACKET_S, isShed);
}

test('frames go out once, in their order', () => {
  const journal = new Journal(10);
  journal.add('start');
  hears(journal, 1, 3);
  assert.deepEqual(taken(journal), ['start', 1, 2, 3]);
  assert.deepEqual(taken(journal), []);
});

test('what the server lacks goes out again, commands among the sound where they were', () => {
  for (let packets = 0; packets <= 6; packets += 1) {
    const journal = new Journal(10);
    journal.add('start');
    hears(journal, 1, 3);
    journal.add('stop');
    journal.add('start');
    hears(journal, 4, 6);
    taken(journal);
    hears(journal, 7, 8); // while it is away
    const commands = packets < 3 ? 1 : 3;
    const all = ['start', 1, 2, 3, 'stop', 'start', 4, 5, 6, 7, 8];
    assert.deepEqual(journal.rebase(packets, commands), { missedS: 0, recoveredS: 0 });
    const last = packets < 3 ? all.indexOf(packets || 'start') : packets === 3 ? 5 : all.indexOf(packets);
    assert.deepEqual(taken(journal), all.slice(last + 1));
  }
});

test('after a loss the server goes on counting where it was, and so does a second loss', () => {
  const journal = new Journal(10);
  journal.add('start');
  journal.passing(); // a ping, which is not repeated
  hears(journal, 1, 10);
  taken(journal);
  journal.rebase(4, 2);
  assert.deepEqual(taken(journal), [5, 6, 7, 8, 9, 10]);
  journal.rebase(9, 2);
  assert.deepEqual(taken(journal), [10]);
  journal.rebase(10, 2);
  assert.deepEqual(taken(journal), []);
});

test('pings are counted, for the server counts them', () => {
  const journal = new Journal(10);
  journal.add('start');
  taken(journal);
  for (let i = 0; i < 5; i += 1) journal.passing();
  journal.add('stop');
  taken(journal);
  journal.rebase(0, 6);
  assert.deepEqual(taken(journal), ['stop']);
});

test('a second loss while the rest still goes out repeats nothing and leaves nothing out', () => {
  const journal = new Journal(10);
  hears(journal, 1, 10);
  taken(journal);
  journal.rebase(2, 0);
  assert.deepEqual([journal.take(), journal.take()].map(named), [3, 4]);
  hears(journal, 11, 12);
  journal.rebase(3, 0);
  assert.deepEqual(taken(journal), [4, 5, 6, 7, 8, 9, 10, 11, 12]);
});

test('what was shed stays out, unless the connection turns out to be lost', () => {
  const journal = new Journal(10);
  hears(journal, 1, 2);
  hears(journal, 3, 4, true);
  hears(journal, 5, 5);
  hears(journal, 6, 7, true);
  assert.deepEqual(taken(journal), [1, 2, 5]);
  const { recoveredS } = journal.rebase(3, 0); // it has the 5, and so the hole before it stays
  assert.equal(recoveredS.toFixed(2), '0.08');
  assert.deepEqual(taken(journal), [6, 7]);
});

test('sound is forgotten oldest first, and what was never sent is counted', () => {
  const journal = new Journal(10); // and 15 s on the way
  hears(journal, 1, 25 * 25);
  assert.equal(journal.forgottenS(), 0);
  hears(journal, 626, 650);
  assert.equal(journal.forgottenS().toFixed(2), '1.00');
  assert.equal(journal.forgottenS(), 0);
  assert.equal(taken(journal)[0], 26);
});

test('sound that the server asks for and is no longer here is counted', () => {
  const journal = new Journal(10);
  for (let number = 1; number <= 700; number += 1) {
    hears(journal, number, number);
    taken(journal);
  }
  hears(journal, 701, 750);
  assert.equal(journal.rebase(100, 0).missedS.toFixed(2), '1.00');
  assert.equal(taken(journal)[0], 126);
});

test('it is bounded in bytes too', () => {
  const journal = new Journal(10, 10);
  hears(journal, 1, 20);
  assert.deepEqual(taken(journal), [16, 17, 18, 19, 20]);
});

test('a command that waits is never forgotten for sound', () => {
  const journal = new Journal(10);
  journal.add('start');
  hears(journal, 1, 1000);
  journal.add('stop');
  const frames = taken(journal);
  assert.deepEqual([frames[0], frames.at(-1), frames.length], ['start', 'stop', 627]);
});

test('where no session is kept, nothing is: what was sent is forgotten, what waits is not', () => {
  const journal = new Journal(0);
  journal.add('start');
  hears(journal, 1, 3);
  hears(journal, 4, 4, true);
  assert.deepEqual(taken(journal), ['start', 1, 2, 3]);
  journal.rebase(0, 0);
  assert.deepEqual(taken(journal), []);
});

test('a session that ends gives up what was never sent, without what was shed', () => {
  const journal = new Journal(10);
  hears(journal, 1, 10);
  taken(journal);
  hears(journal, 11, 12, true);
  hears(journal, 13, 37);
  assert.equal(journal.isBehind, true);
  assert.deepEqual(journal.unsent().map(({ frame }) => named(frame)), Array.from({ length: 25 }, (_, i) => 13 + i));
  assert.equal(journal.isBehind, false);
});
