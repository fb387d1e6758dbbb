import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';

import { PING_EVERY_MS, SILENCE_LIMIT_MS } from '../../web/connection/heartbeat.js';
import { makeLink } from './connection-harness.mjs';

let sockets;
let states;
let events;
let latencies;
let link;
let pass;

beforeEach(() => {
  latencies = [];
  ({ link, sockets, states, events, pass } = makeLink({ onLatency: (ms) => latencies.push(ms) }));
});

test('the link is open once the server said hello, and nothing is sent before', () => {
  link.send('start');
  link.sendPacket(new ArrayBuffer(4));
  assert.equal(link.isOpen, false);
  sockets[0].says({ type: 'hello', sessionId: 'a' });
  assert.equal(link.isOpen, true);
  link.send('start');
  assert.deepEqual(sockets[0].sent, ['start']);
  assert.deepEqual(events.map(({ type }) => type), ['hello']);
});

test('a lost link comes back by itself, later with each failure, and at once after a hello', () => {
  sockets[0].says({ type: 'hello', sessionId: 'a' });
  sockets[0].drops();
  assert.deepEqual([states.at(-1).phase, states.at(-1).failures], ['waiting', 1]);
  pass(499);
  assert.equal(sockets.length, 1);
  pass(1);
  sockets[1].drops();
  pass(999);
  assert.equal(sockets.length, 2);
  pass(1);
  assert.equal(sockets.length, 3);
  sockets[2].says({ type: 'hello', sessionId: 'b' });
  assert.equal(states.at(-1).failures, 0);
  sockets[2].drops();
  pass(500);
  assert.equal(sockets.length, 4);
});

test('a person who asks to try now does not get two connections', () => {
  sockets[0].drops();
  link.connect();
  link.connect();
  pass(5000);
  assert.equal(sockets.length, 2);
});

test('a full server is told apart, and room made is noticed', () => {
  sockets[0].says({ type: 'error', where: 'admission', message: 'no room' });
  sockets[0].drops(1013);
  assert.equal(states.at(-1).full, true);
  pass(4999);
  assert.equal(sockets.length, 1);
  pass(1);
  sockets[1].says({ type: 'hello', sessionId: 'a' });
  assert.equal(states.at(-1).full, false);
});

test('a server that was full and is gone now is not called full', () => {
  sockets[0].drops(1013);
  pass(5000);
  sockets[1].drops(1006);
  assert.equal(states.at(-1).full, false);
});

test('pings measure the way there and back', () => {
  sockets[0].says({ type: 'hello', sessionId: 'a' });
  pass(PING_EVERY_MS);
  assert.deepEqual(sockets[0].sent, ['ping']);
  pass(30);
  sockets[0].says({ type: 'pong' });
  assert.deepEqual(latencies, [30]);
  assert.deepEqual(events.map(({ type }) => type), ['hello']);
  pass(PING_EVERY_MS);
  assert.deepEqual(sockets[0].sent, ['ping', 'ping']);
});

test('a server that says nothing any more is given up', () => {
  sockets[0].says({ type: 'hello', sessionId: 'a' });
  pass(PING_EVERY_MS + SILENCE_LIMIT_MS);
  assert.equal(sockets[0].isClosed, false);
  pass(PING_EVERY_MS);
  assert.equal(sockets[0].isClosed, true);
  assert.equal(states.at(-1).phase, 'waiting');
});

test('a connection that never opens is given up too', () => {
  pass(SILENCE_LIMIT_MS + PING_EVERY_MS);
  assert.equal(sockets[0].isClosed, true);
});

test('a server that talks but is slow to answer is not given up', () => {
  sockets[0].says({ type: 'hello', sessionId: 'a' });
  for (let i = 0; i < 30; i += 1) {
    pass(1000);
    sockets[0].says({ type: 'status', state: 'recording' });
  }
  assert.equal(sockets.length, 1);
  assert.equal(sockets[0].isClosed, false);
});

test('a link that is renewed gives up its socket and connects at once', () => {
  sockets[0].says({ type: 'hello', sessionId: 'a' });
  link.renew();
  assert.deepEqual([sockets[0].isClosed, sockets.length, states.at(-1).phase], [true, 2, 'connecting']);
  sockets[1].says({ type: 'hello', sessionId: 'b' });
  assert.deepEqual([states.at(-1).phase, states.at(-1).failures], ['open', 0]);
  pass(PING_EVERY_MS);
  assert.deepEqual(sockets[1].sent, ['ping']);
});

test('a link that waits is renewed at once, and its old timer makes no second one', () => {
  sockets[0].drops();
  link.renew();
  assert.equal(sockets.length, 2);
  sockets[1].says({ type: 'hello', sessionId: 'b' });
  pass(2000);
  assert.equal(sockets.length, 2);
});
