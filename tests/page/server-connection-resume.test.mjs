import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';

import { PING_EVERY_MS, SILENCE_TIMEOUT_MS } from '../../web/connection/heartbeat.js';
import { makeConnection } from './connection-harness.mjs';

let sockets;
let states;
let events;
let lostS;
let key;
let connection;
let pass;

beforeEach(() => {
  [lostS, key] = [0, ''];
  ({ connection, sockets, states, events, pass } = makeConnection({
    onAudioLost: (seconds) => (lostS += seconds),
    key: () => key,
  }));
});

const HELLO = { type: 'hello', sessionId: 'a', seq: 1, resumeToken: 'a.secret', resumeGraceSeconds: 10 };
const packet = (number) => new Uint16Array([number]).buffer;
const sendPacket = (number) => connection.sendPacket(packet(number), 0.04);
const sent = (socket) => socket.sent.map((each) => (typeof each === 'string' ? each : new Uint16Array(each)[0]));
const resumed = (change) => ({ type: 'resumed', sessionId: 'a', receivedPackets: 0, receivedCommands: 0, missedEvents: 0, ...change });

/** Cuts off a session after two events. Returns the socket that resumes it. */
function cutOff() {
  sockets[0].serverSends(HELLO);
  sockets[0].serverSends({ type: 'final', segmentId: 1, text: 'One.', seq: 2 });
  connection.send('start');
  [1, 2, 3].forEach(sendPacket);
  sockets[0].serverCloses();
  sendPacket(4);
  pass(500);
  sockets[1].serverSends({ ...HELLO, sessionId: 'b', resumeToken: 'b.secret' });
  return sockets[1];
}

test('a session is resumed before anything else is sent, and gets the missing frames', () => {
  const socket = cutOff();
  assert.deepEqual(JSON.parse(socket.frames[0]), { type: 'resume', token: 'a.secret', seq: 2 });
  assert.equal(connection.isOpen, false);
  sendPacket(5);
  assert.deepEqual(sent(socket), ['resume']);
  socket.serverSends(resumed({ receivedPackets: 2, receivedCommands: 1 }));
  assert.equal(connection.isOpen, true);
  assert.deepEqual(sent(socket), ['resume', 3, 4, 5]);
  assert.deepEqual(events.map(({ type }) => type), ['hello', 'final', 'resumed']);
  assert.equal(lostS, 0);
});

test('after a resume, old events are dropped, and so are those of the new session', () => {
  const socket = cutOff();
  socket.serverSends({ type: 'ready', ok: false, seq: 2 });
  socket.serverSends({ type: 'status', state: 'idle', seq: 3 });
  socket.serverSends(resumed());
  socket.serverSends({ type: 'final', segmentId: 1, text: 'One.', seq: 2 });
  socket.serverSends({ type: 'final', segmentId: 2, text: 'Two.', seq: 3 });
  socket.serverSends({ type: 'final', segmentId: 2, text: 'Two.', seq: 3 });
  assert.deepEqual(events.map(({ type, text }) => text ?? type), ['hello', 'One.', 'resumed', 'Two.']);
});

test('after a rejected resume, the new session gets the unsent frames', () => {
  const socket = cutOff();
  socket.serverSends({ type: 'ready', ok: true, seq: 2 });
  socket.serverSends({ type: 'error', where: 'resume', message: 'no such session', seq: 3 });
  assert.deepEqual(events.slice(2).map(({ type }) => type), ['hello', 'ready', 'error']);
  assert.equal(events[2].sessionId, 'b');
  assert.equal(connection.isOpen, true);
  assert.deepEqual([sent(socket), lostS], [['resume', 'start', 4], 0]);
  sendPacket(5);
  assert.deepEqual(sent(socket), ['resume', 'start', 4, 5]);
  // The server counted that `resume` as a command.
  socket.serverCloses();
  pass(500);
  sockets[2].serverSends(HELLO);
  assert.deepEqual(JSON.parse(sockets[2].frames[0]), { type: 'resume', token: 'b.secret', seq: 3 });
  sockets[2].serverSends(resumed({ receivedCommands: 2, receivedPackets: 1 }));
  assert.deepEqual(sent(sockets[2]), ['resume', 5]);
});

/** Frames sent to the new session after a rejected resume; `happens` runs while disconnected. */
function afterRefusal(happens) {
  sockets[0].serverSends(HELLO);
  connection.send('start');
  sendPacket(1);
  sockets[0].serverCloses();
  happens();
  pass(500);
  sockets[1].serverSends({ ...HELLO, sessionId: 'b', resumeToken: 'b.secret' });
  sockets[1].serverSends({ type: 'error', where: 'resume', message: 'no such session', seq: 3 });
  return sent(sockets[1]).slice(1);
}

for (const [name, happens, expected] of [
  ['nothing', () => {}, ['start', 1]],
  ['the end of the stream', () => [sendPacket(2), connection.send('stop')], ['start', 1, 2, 'stop']],
  ['a new stream', () => [connection.send('stop'), connection.send('start'), sendPacket(2)], ['start', 1, 'stop', 'start', 2]],
  ['a clear in between', () => [sendPacket(2), connection.send('clear'), sendPacket(3)], ['start', 3]],
  ['a clear at the end', () => [sendPacket(2), connection.send('clear')], []],
]) {
  test(`after a rejected resume, the new session gets the audio without a final text: ${name}`, () => {
    assert.deepEqual([afterRefusal(happens), lostS], [expected, 0]);
  });
}

/** Ends a session with these events, after this much audio was sent. Returns what the next one gets again, in seconds. */
function restartAfterS(spokenS, packetOf, ...eventsBefore) {
  sockets[0].serverSends(HELLO);
  connection.send('start');
  for (let number = 1; number <= spokenS; number += 1) connection.sendPacket(packetOf(number), 1);
  eventsBefore.forEach((event, i) => sockets[0].serverSends({ seq: i + 2, ...event }));
  sockets[0].serverCloses();
  pass(500);
  sockets[1].serverSends({ ...HELLO, sessionId: 'b', resumeToken: 'b.secret' });
  sockets[1].serverSends({ type: 'error', where: 'resume', message: 'no such session', seq: 3 });
  return sent(sockets[1]).filter((each) => typeof each === 'number');
}
const restartAfter = (...eventsBefore) => restartAfterS(20, packet, ...eventsBefore);
const times = (audioStartSeconds, audioEndSeconds) => ({ audioStartSeconds, audioEndSeconds });
const hello = () => events.filter(({ type }) => type === 'hello').at(-1);

test('after a restart, the audio since the last final text is sent again, and replaces its segments', () => {
  const again = restartAfter(
    { type: 'final', segmentId: 1, text: 'One.', segment: times(1, 8) },
    { type: 'timeline', event: 'transcription_ended', segmentId: 1, segment: times(1, 8) },
    { type: 'realtime', segmentId: 2, stableText: 'two', segment: times(10) },
    { type: 'timeline', event: 'segment_closed', segmentId: 3, reason: 'empty', segment: times(14, 15) },
    { type: 'realtime', segmentId: 4, stableText: 'four', segment: times(17) },
  );
  assert.deepEqual([again[0], again.at(-1), hello().replacesFrom], [9, 20, 2]);
});

test('after a restart, a turn that was resumed after its final text is sent again and replaced', () => {
  const again = restartAfter(
    { type: 'final', segmentId: 1, text: 'One.', segment: times(1, 4) },
    { type: 'final', segmentId: 2, text: 'Two.', segment: times(6, 8) },
    { type: 'turn_resumed', segmentId: 2 },
    { type: 'realtime', segmentId: 2, stableText: 'two and a', segment: times(6), audioEndSeconds: 11 },
  );
  assert.deepEqual([again[0], hello().replacesFrom], [5, 2]);
});

test('after a restart, nothing of a final text is sent again with a segment that follows a cut', () => {
  const again = restartAfter(
    { type: 'final', segmentId: 1, text: 'One.', segment: times(1, 10) },
    { type: 'realtime', segmentId: 2, stableText: 'two', segment: times(10), audioEndSeconds: 12 },
  );
  assert.deepEqual([again[0], hello().replacesFrom], [11, 2]);
});

test('after a restart, a segment whose beginning is buffered no more keeps its words, and the rest is sent', () => {
  const megabyteOf = (number) => new Uint16Array(500_000).fill(number).buffer; // 16 of them are kept
  const again = restartAfterS(40, megabyteOf, { type: 'realtime', segmentId: 1, stableText: 'one', segment: times(1), audioEndSeconds: 30 });
  assert.deepEqual([again[0], again.at(-1), hello().replacesFrom], [31, 40, Infinity]);
});

test('after a restart, nothing is sent again where the server does not tell which audio a final text covers', () => {
  assert.deepEqual([restartAfter({ type: 'final', segmentId: 1, text: 'One.' }), hello().replacesFrom], [[], Infinity]);
});

test('audio buffered too long is counted as lost, and the rest is sent as fast as the socket takes it', () => {
  sockets[0].serverSends(HELLO);
  connection.send('start');
  sockets[0].serverCloses();
  for (let number = 1; number <= 30; number += 1) connection.sendPacket(packet(number), 1);
  pass(500);
  sockets[1].bufferedAmount = 200_000;
  sockets[1].serverSends({ ...HELLO, sessionId: 'b', resumeToken: 'b.secret' });
  sockets[1].serverSends({ type: 'error', where: 'resume', message: 'no such session', seq: 3 });
  assert.deepEqual([sent(sockets[1]), connection.isCatchingUp], [['resume'], true]);
  sockets[1].bufferedAmount = 0;
  pass(50);
  assert.deepEqual([sent(sockets[1]).length, sent(sockets[1])[2], connection.isCatchingUp], [27, 6, false]);
  assert.equal(lostS, 5);
});

test('a connection that breaks before the answer is resumed by the next one', () => {
  cutOff().serverCloses();
  pass(1000);
  sockets[2].serverSends(HELLO);
  assert.deepEqual(sent(sockets[2]), ['resume']);
  sockets[2].serverSends(resumed({ receivedCommands: 1, receivedPackets: 1 }));
  assert.deepEqual(sent(sockets[2]), ['resume', 2, 3, 4]);
});

test('a silent server gets a close code that announces a resume', () => {
  sockets[0].serverSends(HELLO);
  pass(SILENCE_TIMEOUT_MS + 2 * PING_EVERY_MS);
  assert.ok(sockets[0].closeCode >= 4000);
  connection.startNewSession();
  sockets.at(-1).serverSends(HELLO);
  connection.startNewSession();
  assert.equal(sockets.at(-2).closeCode, undefined);
});

for (const code of [1000, 1005, 1008, 1011]) {
  test(`close code ${code} ends the session`, () => {
    sockets[0].serverSends(HELLO);
    assert.equal(states.at(-1).graceS, 10);
    sockets[0].serverCloses(code);
    assert.equal(states.at(-1).graceS, 0);
    assert.equal(sendPacket(1), false);
    pass(500);
    sockets[1].serverSends(HELLO);
    assert.deepEqual(sockets[1].sent, []);
  });
}

test('while the server restarts, audio is buffered for the next session', () => {
  sockets[0].serverSends(HELLO);
  connection.send('start');
  sendPacket(1);
  sockets[0].serverCloses(1001);
  assert.deepEqual([states.at(-1).graceS, sendPacket(2)], [10, true]);
  pass(500);
  sockets[1].serverSends({ ...HELLO, sessionId: 'b', resumeToken: 'b.secret' });
  sockets[1].serverSends({ type: 'error', where: 'resume', message: 'no such session', seq: 3 });
  assert.deepEqual([sent(sockets[1]), lostS], [['resume', 'start', 1, 2], 0]);
});

test('a new session does not resume the old one', () => {
  sockets[0].serverSends(HELLO);
  connection.startNewSession();
  sockets[1].serverSends(HELLO);
  assert.deepEqual(sockets[1].sent, []);
});

test('the backlog is sent as fast as the socket takes it, with live audio behind it', () => {
  const socket = cutOff();
  socket.bufferedAmount = 200_000;
  socket.serverSends(resumed({ receivedPackets: 2, receivedCommands: 1 }));
  sendPacket(5);
  assert.deepEqual([sent(socket), connection.isCatchingUp], [['resume'], true]);
  socket.bufferedAmount = 0;
  pass(50);
  assert.deepEqual([sent(socket), connection.isCatchingUp], [['resume', 3, 4, 5], false]);
  socket.bufferedAmount = 200_000; // live packets are not held back here; the session sheds them
  sendPacket(6);
  assert.equal(sent(socket).at(-1), 6);
});

test('a server without resume gets no resume, and nothing is buffered for it', () => {
  sockets[0].serverSends({ type: 'hello', sessionId: 'a', seq: 1, resumeGraceSeconds: 0 });
  sockets[0].serverCloses();
  assert.equal(sendPacket(1), false);
  pass(500);
  sockets[1].serverSends({ type: 'hello', sessionId: 'b', seq: 1 });
  assert.deepEqual([sockets[1].sent, states.at(-1).phase], [[], 'open']);
});

test('the key is sent before anything else', () => {
  key = 'tstt_1';
  sockets[0].serverSends({ type: 'auth_required', timeoutSeconds: 5 });
  assert.deepEqual(JSON.parse(sockets[0].frames[0]), { type: 'auth', key: 'tstt_1' });
  sockets[0].serverSends(HELLO);
  assert.equal(connection.isOpen, true);
  sockets[0].serverCloses();
  pass(500);
  sockets[1].serverSends({ type: 'auth_required', timeoutSeconds: 5 });
  sockets[1].serverSends(HELLO);
  assert.deepEqual(sockets[1].sent, ['auth', 'resume']);
});

test('without a key, the connection waits for one and does not retry', () => {
  sockets[0].serverSends({ type: 'auth_required', timeoutSeconds: 5 });
  assert.deepEqual([states.at(-1).phase, sockets[0].isClosed, sockets[0].sent], ['locked', true, []]);
  pass(60_000);
  assert.equal(sockets.length, 1);
  key = 'tstt_1';
  connection.startNewSession();
  sockets[1].serverSends({ type: 'auth_required', timeoutSeconds: 5 });
  assert.deepEqual(sockets[1].sent, ['auth']);
});

test('a wrong key is sent only once', () => {
  key = 'wrong';
  sockets[0].serverSends({ type: 'auth_required', timeoutSeconds: 5 });
  sockets[0].serverSends({ type: 'error', where: 'admission', message: 'the key is wrong or was revoked' });
  sockets[0].serverCloses(1008);
  pass(60_000);
  assert.deepEqual([states.at(-1).phase, sockets.length], ['locked', 1]);
});

test('a key that came too late is sent again', () => {
  key = 'tstt_1';
  sockets[0].serverSends({ type: 'auth_required', timeoutSeconds: 5 });
  sockets[0].serverSends({ type: 'error', where: 'admission', message: 'missing key: a key is needed within 5 s: in the header …' });
  sockets[0].serverCloses(1008);
  assert.deepEqual([states.at(-1).phase, states.at(-1).isFull], ['waiting', false]);
  pass(500);
  sockets[1].serverSends({ type: 'auth_required', timeoutSeconds: 5 });
  assert.deepEqual(sockets[1].sent, ['auth']);
});

test('a server that rejects logins for now is retried, and its reason is kept', () => {
  key = 'tstt_1';
  sockets[0].serverSends({ type: 'auth_required', timeoutSeconds: 5 });
  sockets[0].serverSends({ type: 'error', where: 'admission', message: 'too many wrong keys from this address' });
  sockets[0].serverCloses(1013);
  assert.deepEqual([states.at(-1).phase, states.at(-1).isFull, states.at(-1).rejection], ['waiting', true, 'too many wrong keys from this address']);
});

test('a revoked key ends the session', () => {
  key = 'tstt_1';
  sockets[0].serverSends(HELLO);
  sockets[0].serverSends({ type: 'error', where: 'admission', message: 'the key was revoked' });
  sockets[0].serverCloses(1008);
  assert.deepEqual([states.at(-1).phase, states.at(-1).isFull, states.at(-1).graceS], ['waiting', false, 0]);
});
