import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';

import { PING_EVERY_MS, SILENCE_LIMIT_MS } from '../../web/connection/heartbeat.js';
import { makeLink } from './connection-harness.mjs';

let sockets;
let states;
let events;
let missedS;
let key;
let link;
let pass;

beforeEach(() => {
  [missedS, key] = [0, ''];
  ({ link, sockets, states, events, pass } = makeLink({
    onMissed: (seconds) => (missedS += seconds),
    key: () => key,
  }));
});

const HELLO = { type: 'hello', sessionId: 'a', seq: 1, resumeToken: 'a.secret', resumeGraceSeconds: 10 };
const packet = (number) => new Uint16Array([number]).buffer;
const says = (number) => link.sendPacket(packet(number), 0.04);
const sent = (socket) => socket.sent.map((each) => (typeof each === 'string' ? each : new Uint16Array(each)[0]));
const resumed = (change) => ({ type: 'resumed', sessionId: 'a', receivedPackets: 0, receivedCommands: 0, missedEvents: 0, ...change });

/** A session of which two events came, and the socket that it goes on over. */
function cutOff() {
  sockets[0].says(HELLO);
  sockets[0].says({ type: 'final', segmentId: 1, text: 'One.', seq: 2 });
  link.send('start');
  [1, 2, 3].forEach(says);
  sockets[0].drops();
  says(4);
  pass(500);
  sockets[1].says({ ...HELLO, sessionId: 'b', resumeToken: 'b.secret' });
  return sockets[1];
}

test('a session that was cut off is asked for before anything else, and gets what it lacks', () => {
  const socket = cutOff();
  assert.deepEqual(JSON.parse(socket.frames[0]), { type: 'resume', token: 'a.secret', seq: 2 });
  assert.equal(link.isOpen, false);
  says(5);
  assert.deepEqual(sent(socket), ['resume']);
  socket.says(resumed({ receivedPackets: 2, receivedCommands: 1 }));
  assert.equal(link.isOpen, true);
  assert.deepEqual(sent(socket), ['resume', 3, 4, 5]);
  assert.deepEqual(events.map(({ type }) => type), ['hello', 'final', 'resumed']);
  assert.equal(missedS, 0);
});

test('of a session that goes on, what came before is not heard twice, and what a new one said not at all', () => {
  const socket = cutOff();
  socket.says({ type: 'ready', ok: false, seq: 2 });
  socket.says({ type: 'status', state: 'idle', seq: 3 });
  socket.says(resumed());
  socket.says({ type: 'final', segmentId: 1, text: 'One.', seq: 2 });
  socket.says({ type: 'final', segmentId: 2, text: 'Two.', seq: 3 });
  socket.says({ type: 'final', segmentId: 2, text: 'Two.', seq: 3 });
  assert.deepEqual(events.map(({ type, text }) => text ?? type), ['hello', 'One.', 'resumed', 'Two.']);
});

test('a session that is refused gives way to the new one, which hears what was never sent', () => {
  const socket = cutOff();
  socket.says({ type: 'ready', ok: true, seq: 2 });
  socket.says({ type: 'error', where: 'resume', message: 'no such session', seq: 3 });
  assert.deepEqual(events.slice(2).map(({ type }) => type), ['hello', 'ready', 'error']);
  assert.equal(events[2].sessionId, 'b');
  assert.equal(link.isOpen, true);
  assert.deepEqual([sent(socket), missedS], [['resume', 'start', 4], 0]);
  says(5);
  assert.deepEqual(sent(socket), ['resume', 'start', 4, 5]);
  // The server counted that `resume`: the next loss must know.
  socket.drops();
  pass(500);
  sockets[2].says(HELLO);
  assert.deepEqual(JSON.parse(sockets[2].frames[0]), { type: 'resume', token: 'b.secret', seq: 3 });
  sockets[2].says(resumed({ receivedCommands: 2, receivedPackets: 1 }));
  assert.deepEqual(sent(sockets[2]), ['resume', 5]);
});

/** What the new session is sent, where these things happened while the old one was asked for and is refused. */
function afterRefusal(happens) {
  sockets[0].says(HELLO);
  link.send('start');
  says(1);
  sockets[0].drops();
  happens();
  pass(500);
  sockets[1].says({ ...HELLO, sessionId: 'b', resumeToken: 'b.secret' });
  sockets[1].says({ type: 'error', where: 'resume', message: 'no such session', seq: 3 });
  return sent(sockets[1]).slice(1);
}

for (const [name, happens, expected] of [
  ['nothing', () => {}, []],
  ['the end of what was said', () => [says(2), link.send('stop')], ['start', 2, 'stop']],
  ['something new', () => [link.send('stop'), link.send('start'), says(2)], ['stop', 'start', 2]],
  ['what was cleared', () => [says(2), link.send('clear'), says(3)], ['start', 3]],
  ['what was all cleared', () => [says(2), link.send('clear')], []],
]) {
  test(`a new session in the place of one that is refused hears what was never sent: ${name}`, () => {
    assert.deepEqual([afterRefusal(happens), missedS], [expected, 0]);
  });
}

test('what waited too long for any session is counted, and the new one hears the rest as fast as the socket takes it', () => {
  sockets[0].says(HELLO);
  link.send('start');
  sockets[0].drops();
  for (let number = 1; number <= 30; number += 1) link.sendPacket(packet(number), 1);
  pass(500);
  sockets[1].bufferedAmount = 200_000;
  sockets[1].says({ ...HELLO, sessionId: 'b', resumeToken: 'b.secret' });
  sockets[1].says({ type: 'error', where: 'resume', message: 'no such session', seq: 3 });
  assert.deepEqual([sent(sockets[1]), link.isCatchingUp], [['resume'], true]);
  sockets[1].bufferedAmount = 0;
  pass(50);
  assert.deepEqual([sent(sockets[1]).length, sent(sockets[1])[2], link.isCatchingUp], [27, 6, false]);
  assert.equal(missedS, 5);
});

test('a new connection that breaks before the answer is no loss: the next one asks again', () => {
  cutOff().drops();
  pass(1000);
  sockets[2].says(HELLO);
  assert.deepEqual(sent(sockets[2]), ['resume']);
  sockets[2].says(resumed({ receivedCommands: 1, receivedPackets: 1 }));
  assert.deepEqual(sent(sockets[2]), ['resume', 2, 3, 4]);
});

test('a silent server is left with a promise to come back, for every other goodbye ends the session', () => {
  sockets[0].says(HELLO);
  pass(SILENCE_LIMIT_MS + 2 * PING_EVERY_MS);
  assert.ok(sockets[0].closeCode >= 4000);
  link.renew();
  sockets.at(-1).says(HELLO);
  link.renew();
  assert.equal(sockets.at(-2).closeCode, undefined);
});

for (const code of [1000, 1005, 1008, 1011]) {
  test(`a server that closes with ${code} has ended the session`, () => {
    sockets[0].says(HELLO);
    assert.equal(states.at(-1).keepsS, 10);
    sockets[0].drops(code);
    assert.equal(states.at(-1).keepsS, 0);
    assert.equal(says(1), false);
    pass(500);
    sockets[1].says(HELLO);
    assert.deepEqual(sockets[1].sent, []);
  });
}

test('while a server is started again, what is said is kept for the session after it', () => {
  sockets[0].says(HELLO);
  link.send('start');
  says(1);
  sockets[0].drops(1001);
  assert.deepEqual([states.at(-1).keepsS, says(2)], [10, true]);
  pass(500);
  sockets[1].says({ ...HELLO, sessionId: 'b', resumeToken: 'b.secret' });
  sockets[1].says({ type: 'error', where: 'resume', message: 'no such session', seq: 3 });
  assert.deepEqual([sent(sockets[1]), missedS], [['resume', 'start', 2], 0]);
});

test('a session that is renewed is not asked for', () => {
  sockets[0].says(HELLO);
  link.renew();
  sockets[1].says(HELLO);
  assert.deepEqual(sockets[1].sent, []);
});

test('what was kept goes out as fast as the socket takes it, and live sound comes behind it', () => {
  const socket = cutOff();
  socket.bufferedAmount = 200_000;
  socket.says(resumed({ receivedPackets: 2, receivedCommands: 1 }));
  says(5);
  assert.deepEqual([sent(socket), link.isCatchingUp], [['resume'], true]);
  socket.bufferedAmount = 0;
  pass(50);
  assert.deepEqual([sent(socket), link.isCatchingUp], [['resume', 3, 4, 5], false]);
  socket.bufferedAmount = 200_000; // live sound is shed by who makes it, not held back here
  says(6);
  assert.equal(sent(socket).at(-1), 6);
});

test('a server that keeps no session is asked for none, and nothing is kept for it', () => {
  sockets[0].says({ type: 'hello', sessionId: 'a', seq: 1, resumeGraceSeconds: 0 });
  sockets[0].drops();
  assert.equal(says(1), false);
  pass(500);
  sockets[1].says({ type: 'hello', sessionId: 'b', seq: 1 });
  assert.deepEqual([sockets[1].sent, states.at(-1).phase], [[], 'open']);
});

test('a server that asks for a key is shown it, before anything else', () => {
  key = 'tstt_1';
  sockets[0].says({ type: 'auth_required', timeoutSeconds: 5 });
  assert.deepEqual(JSON.parse(sockets[0].frames[0]), { type: 'auth', key: 'tstt_1' });
  sockets[0].says(HELLO);
  assert.equal(link.isOpen, true);
  sockets[0].drops();
  pass(500);
  sockets[1].says({ type: 'auth_required', timeoutSeconds: 5 });
  sockets[1].says(HELLO);
  assert.deepEqual(sockets[1].sent, ['auth', 'resume']);
});

test('without a key the link waits for one, and knocks no more', () => {
  sockets[0].says({ type: 'auth_required', timeoutSeconds: 5 });
  assert.deepEqual([states.at(-1).phase, sockets[0].isClosed, sockets[0].sent], ['locked', true, []]);
  pass(60_000);
  assert.equal(sockets.length, 1);
  key = 'tstt_1';
  link.renew();
  sockets[1].says({ type: 'auth_required', timeoutSeconds: 5 });
  assert.deepEqual(sockets[1].sent, ['auth']);
});

test('a wrong key is tried once', () => {
  key = 'wrong';
  sockets[0].says({ type: 'auth_required', timeoutSeconds: 5 });
  sockets[0].says({ type: 'error', where: 'admission', message: 'the key is wrong or was revoked' });
  sockets[0].drops(1008);
  pass(60_000);
  assert.deepEqual([states.at(-1).phase, sockets.length], ['locked', 1]);
});

test('a server that wants no more logins for now is asked again, with its reason at hand', () => {
  key = 'tstt_1';
  sockets[0].says({ type: 'auth_required', timeoutSeconds: 5 });
  sockets[0].says({ type: 'error', where: 'admission', message: 'too many wrong keys from this address' });
  sockets[0].drops(1013);
  assert.deepEqual([states.at(-1).phase, states.at(-1).full, states.at(-1).refusal], ['waiting', true, 'too many wrong keys from this address']);
});

test('a revoked key ends the session, and is refused when it is shown again', () => {
  key = 'tstt_1';
  sockets[0].says(HELLO);
  sockets[0].says({ type: 'error', where: 'admission', message: 'the key was revoked' });
  sockets[0].drops(1008);
  assert.deepEqual([states.at(-1).phase, states.at(-1).full, states.at(-1).keepsS], ['waiting', false, 0]);
});
