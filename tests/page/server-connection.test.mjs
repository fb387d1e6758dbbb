import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';

import { PING_EVERY_MS, SILENCE_TIMEOUT_MS } from '../../web/connection/heartbeat.js';
import { makeConnection } from './connection-harness.mjs';

let sockets;
let states;
let events;
let latencies;
let connection;
let pass;

beforeEach(() => {
  latencies = [];
  ({ connection, sockets, states, events, pass } = makeConnection({ onLatency: (ms) => latencies.push(ms) }));
});

test('the connection opens with hello, and nothing is sent before', () => {
  connection.send('start');
  connection.sendPacket(new ArrayBuffer(4));
  assert.equal(connection.isOpen, false);
  sockets[0].serverSends({ type: 'hello', sessionId: 'a' });
  assert.equal(connection.isOpen, true);
  connection.send('start');
  assert.deepEqual(sockets[0].sent, ['start']);
  assert.deepEqual(events.map(({ type }) => type), ['hello']);
});

test('a lost connection is retried with growing delays, reset by hello', () => {
  sockets[0].serverSends({ type: 'hello', sessionId: 'a' });
  sockets[0].serverCloses();
  assert.deepEqual([states.at(-1).phase, states.at(-1).failures], ['waiting', 1]);
  pass(499);
  assert.equal(sockets.length, 1);
  pass(1);
  sockets[1].serverCloses();
  pass(999);
  assert.equal(sockets.length, 2);
  pass(1);
  assert.equal(sockets.length, 3);
  sockets[2].serverSends({ type: 'hello', sessionId: 'b' });
  assert.equal(states.at(-1).failures, 0);
  sockets[2].serverCloses();
  pass(500);
  assert.equal(sockets.length, 4);
});

test('retrying by hand makes only one connection', () => {
  sockets[0].serverCloses();
  connection.connect();
  connection.connect();
  pass(5000);
  assert.equal(sockets.length, 2);
});

test('a full server is reported until it accepts the page', () => {
  sockets[0].serverSends({ type: 'error', where: 'admission', message: 'no room' });
  sockets[0].serverCloses(1013);
  assert.equal(states.at(-1).isFull, true);
  pass(4999);
  assert.equal(sockets.length, 1);
  pass(1);
  sockets[1].serverSends({ type: 'hello', sessionId: 'a' });
  assert.equal(states.at(-1).isFull, false);
});

test('a full server that went away is no longer reported as full', () => {
  sockets[0].serverCloses(1013);
  pass(5000);
  sockets[1].serverCloses(1006);
  assert.equal(states.at(-1).isFull, false);
});

test('pings measure the round trip', () => {
  sockets[0].serverSends({ type: 'hello', sessionId: 'a' });
  pass(PING_EVERY_MS);
  assert.deepEqual(sockets[0].sent, ['ping']);
  pass(30);
  sockets[0].serverSends({ type: 'pong' });
  assert.deepEqual(latencies, [30]);
  assert.deepEqual(events.map(({ type }) => type), ['hello']);
  pass(PING_EVERY_MS);
  assert.deepEqual(sockets[0].sent, ['ping', 'ping']);
});

test('a silent server is closed after the timeout', () => {
  sockets[0].serverSends({ type: 'hello', sessionId: 'a' });
  pass(PING_EVERY_MS + SILENCE_TIMEOUT_MS);
  assert.equal(sockets[0].isClosed, false);
  pass(PING_EVERY_MS);
  assert.equal(sockets[0].isClosed, true);
  assert.equal(states.at(-1).phase, 'waiting');
});

test('a connection that never opens is closed after the timeout', () => {
  pass(SILENCE_TIMEOUT_MS + PING_EVERY_MS);
  assert.equal(sockets[0].isClosed, true);
});

test('a slow pong is tolerated while other events arrive', () => {
  sockets[0].serverSends({ type: 'hello', sessionId: 'a' });
  for (let i = 0; i < 30; i += 1) {
    pass(1000);
    sockets[0].serverSends({ type: 'status', state: 'recording' });
  }
  assert.equal(sockets.length, 1);
  assert.equal(sockets[0].isClosed, false);
});

test('a new session closes the socket and connects at once', () => {
  sockets[0].serverSends({ type: 'hello', sessionId: 'a' });
  connection.startNewSession();
  assert.deepEqual([sockets[0].isClosed, sockets.length, states.at(-1).phase], [true, 2, 'connecting']);
  sockets[1].serverSends({ type: 'hello', sessionId: 'b' });
  assert.deepEqual([states.at(-1).phase, states.at(-1).failures], ['open', 0]);
  pass(PING_EVERY_MS);
  assert.deepEqual(sockets[1].sent, ['ping']);
});

test('a new session cancels the waiting retry', () => {
  sockets[0].serverCloses();
  connection.startNewSession();
  assert.equal(sockets.length, 2);
  sockets[1].serverSends({ type: 'hello', sessionId: 'b' });
  pass(2000);
  assert.equal(sockets.length, 2);
});
