import assert from 'node:assert/strict';
import { mock, test } from 'node:test';

import { AudioError } from '../../web/audio/capture.js';
import {
  CONNECTION, PACKET, RATE_HZ, connects, disconnects, keys, connection, microphones, notices, announced, session, settled, state, talks, transcript,
} from './session-harness.mjs';

test('talking sends start, and stopping sends the last samples before stop', async () => {
  connects();
  const microphone = await talks();
  microphone.captures();
  assert.equal(state.talk, 'live');
  await session.talk.toggle();
  assert.equal(state.talk, 'off');
  assert.equal(microphone.isStopped, true);
  const [start, packet, last, stop] = connection.sent;
  assert.deepEqual([start, stop, connection.sent.length], ['start', 'stop', 4]);
  assert.equal(packet - last, (1920 - 7) * 2 + '1920'.length - '7'.length);
});

test('a final after the stop is shown and announced', async () => {
  connects();
  await talks();
  await session.talk.toggle();
  session.eventReceived({ type: 'final', segmentId: 1, text: 'Good night.' });
  assert.equal(transcript.text, 'Good night.');
  assert.deepEqual(announced, ['Good night.']);
});

test('a connection lost while talking sends start again and reports lost audio', async () => {
  connects();
  const microphone = await talks();
  session.eventReceived({ type: 'final', segmentId: 1, text: 'Before.' });
  disconnects();
  for (let i = 0; i < 50; i += 1) microphone.captures();
  connection.sent.length = 0;
  connects();
  microphone.captures();
  assert.equal(connection.sent[0], 'start');
  assert.equal(connection.sent.length, 2);
  assert.equal(transcript.entries[1].lostS.toFixed(2), '2.00');
  assert.equal(state.unsentS.toFixed(2), '2.00');
});

test('a new connection sends nothing while not talking', async () => {
  connects();
  await talks();
  await session.talk.toggle();
  connection.sent.length = 0;
  disconnects();
  connects();
  assert.deepEqual(connection.sent, []);
});

test('talking before hello sends start with it', async () => {
  await talks();
  assert.deepEqual(connection.sent, []);
  connects();
  assert.deepEqual(connection.sent, ['start']);
});

test('a socket that does not drain sheds audio until it recovers', async () => {
  connects();
  const microphone = await talks();
  connection.sent.length = 0;
  connection.bufferedBytes = RATE_HZ * 2 * 3;
  microphone.captures();
  assert.deepEqual(connection.sent, []);
  assert.equal(state.unsentS, 0.04);
  connection.bufferedBytes = 0;
  microphone.captures();
  assert.equal(connection.sent.length, 1);
});

test('cancelling the permission request closes the microphone', async () => {
  connects();
  void session.talk.toggle();
  await session.talk.toggle();
  assert.equal(state.talk, 'off');
  await microphones[0].opens();
  assert.equal(microphones[0].isStopped, true);
  assert.deepEqual(connection.sent, []);
});

test('two permission requests, answered in any order, give one stream', async () => {
  connects();
  void session.talk.toggle();
  await session.talk.toggle();
  void session.talk.toggle();
  await microphones[1].opens();
  await microphones[0].opens();
  assert.equal(state.talk, 'live');
  assert.deepEqual([microphones[0].isStopped, microphones[1].isStopped], [true, false]);
  assert.deepEqual(connection.sent, ['start']);
});

for (const code of [
  ...['insecure', 'unsupported', 'no_worklet', 'denied', 'missing', 'busy', 'failed'],
  ...['share_denied', 'share_failed', 'share_silent', 'file_large', 'file_unreadable'],
]) {
  test(`a source that fails with ${code} has a notice, and Talk works again`, async () => {
    connects();
    void session.talk.toggle();
    await microphones[0].fails(new AudioError(code));
    assert.equal(state.talk, 'off');
    assert.deepEqual(keys(), ['audio']);
    assert.match(notices.list[0].text, /^[A-Z].{20,}\.$/);
    await talks();
    assert.deepEqual(keys(), []);
    assert.deepEqual(connection.sent, ['start']);
  });
}

test('an unplugged microphone is replaced within the same stream', async () => {
  connects();
  const microphone = await talks();
  microphone.handlers.onEnd();
  await settled();
  await microphones[1].opens();
  assert.equal(state.talk, 'live');
  assert.equal(microphone.isStopped, true);
  connection.sent.length = 0;
  microphone.captures();
  microphones[1].captures();
  assert.equal(connection.sent.length, 1, 'only the new one');
  assert.deepEqual(keys(), ['audio']);
  assert.match(notices.list[0].text, /now uses A microphone\.$/);
});

test('an unplugged microphone without a replacement ends the stream', async () => {
  connects();
  const microphone = await talks();
  microphone.handlers.onEnd();
  await settled();
  await microphones[1].fails(new AudioError('missing'));
  assert.equal(state.talk, 'off');
  assert.equal(connection.sent.at(-1), 'stop');
  assert.deepEqual(keys(), ['audio']);
});

test('another microphone is used at once within the same stream', async () => {
  connects();
  const microphone = await talks();
  void session.talk.reopenMicrophone();
  await settled();
  await microphones[1].opens();
  assert.deepEqual([microphone.isStopped, microphones[1].isStopped, state.talk], [true, false, 'live']);
  assert.equal(connection.sent.filter((each) => typeof each === 'string').join(), 'start');
});

test('two changes of the microphone leave one open', async () => {
  connects();
  await talks();
  void session.talk.reopenMicrophone();
  void session.talk.reopenMicrophone();
  await settled();
  await Promise.all(microphones.slice(1).map((each) => each.opens()));
  assert.deepEqual(microphones.map((each) => each.isStopped), [true, true, false]);
});

test('stopping while another microphone opens leaves none open', async () => {
  connects();
  await talks();
  void session.talk.reopenMicrophone();
  await settled();
  await session.talk.toggle();
  await microphones[1].opens();
  assert.deepEqual(microphones.map((each) => each.isStopped), [true, true]);
  assert.equal(state.talk, 'off');
});

test('a microphone muted by the system has a notice until it is unmuted', async () => {
  connects();
  const microphone = await talks();
  microphone.handlers.onMuted(true);
  assert.deepEqual(keys(), ['muted']);
  microphone.handlers.onMuted(false);
  assert.deepEqual(keys(), []);
});

/** A file source whose handlers the test calls. */
function file() {
  const opened = { isStopped: false };
  const source = {
    kind: 'file',
    open: async (handlers) => {
      opened.handlers = handlers;
      return { label: 'talk.wav', stop: async () => (opened.isStopped = true) };
    },
  };
  return { opened, source };
}

test('a file replaces the microphone, waits for the server, and stops at its end', async () => {
  connects();
  const microphone = await talks();
  const { opened, source } = file();
  await session.talk.startFrom(source);
  assert.equal(microphone.isStopped, true);
  assert.deepEqual([state.talk, state.source, state.sourceLabel], ['live', 'file', 'talk.wav']);
  assert.deepEqual(connection.sent.filter((each) => typeof each === 'string'), ['start', 'stop', 'start']);
  assert.equal(opened.handlers.isReady(), true);
  connection.bufferedBytes = 100_000;
  assert.equal(opened.handlers.isReady(), false);
  disconnects();
  assert.equal(opened.handlers.isReady(), false);
  connection.bufferedBytes = 0;
  connects();
  opened.handlers.onSamples(PACKET, 16_000);
  opened.handlers.onEnd();
  await settled();
  assert.equal(connection.sent.at(-1), 'stop');
  assert.deepEqual([state.talk, state.source, state.unsentS], ['off', null, 0]);
  assert.deepEqual(keys(), []);
});

test('a permission request has an explanation until it is answered', async () => {
  connects();
  void session.talk.toggle();
  mock.timers.tick(399);
  assert.deepEqual(keys(), []);
  mock.timers.tick(1);
  assert.deepEqual(keys(), ['reason']);
  await microphones[0].opens();
  assert.deepEqual(keys(), []);
});

test('a loading model has a notice only after a while', () => {
  connection.isOpen = true;
  session.connectionChanged({ ...CONNECTION, phase: 'open' });
  session.eventReceived({ type: 'hello', sessionId: 'a' });
  assert.deepEqual(keys(), []);
  mock.timers.tick(500);
  assert.deepEqual(keys(), ['model']);
  session.eventReceived({ type: 'ready', ok: true });
  assert.deepEqual(keys(), []);
  assert.equal(state.model, 'ready');
});

test('a failed engine has a notice until the server returns without the failure', () => {
  connects();
  session.eventReceived({ type: 'ready', ok: false });
  session.eventReceived({ type: 'error', where: 'main_engine', message: 'no such file: m.ort' });
  assert.equal(state.model, 'failed');
  assert.match(notices.list[0].text, /no such file: m\.ort\.$/);
  disconnects();
  connects();
  assert.equal(state.model, 'ready');
  assert.deepEqual(keys(), []);
});

test('a full server has one notice until it accepts the page', () => {
  session.eventReceived({ type: 'error', where: 'admission', message: 'full' });
  disconnects(1, true);
  disconnects(2, true);
  assert.deepEqual(keys(), ['connection']);
  assert.match(notices.list[0].text, /full/);
  assert.equal(notices.list[0].count, 1);
  connects();
  assert.deepEqual(keys(), []);
});

test('a required key has a notice at once, in place of the connection’s', () => {
  disconnects(2);
  session.connectionChanged({ ...CONNECTION, phase: 'locked', failures: 2 });
  assert.deepEqual(notices.list.map(({ key, action }) => [key, action]), [['key', 'Enter the key']]);
  connects();
  assert.deepEqual(keys(), []);
});

test('a first loss has no notice, a second one has', () => {
  connects();
  disconnects(1);
  assert.deepEqual(keys(), []);
  disconnects(2);
  assert.deepEqual(keys(), ['connection']);
});

test('repeated warnings are counted, and the number of notices is bounded', () => {
  connects();
  for (let i = 0; i < 3; i += 1) session.eventReceived({ type: 'warning', message: 'too loud' });
  assert.deepEqual(notices.list.map(({ text, count }) => [text, count]), [['too loud.', 3]]);
  for (let i = 0; i < 20; i += 1) session.eventReceived({ type: 'warning', message: `kind ${i}` });
  assert.equal(notices.list.length, 4);
  assert.equal(notices.list.at(-1).text, 'kind 19.');
});

test('clear empties the page at once and ignores events until it is confirmed', () => {
  connects();
  session.eventReceived({ type: 'final', segmentId: 1, text: 'Old.' });
  session.clear();
  session.eventReceived({ type: 'final', segmentId: 2, text: 'Still old.' });
  assert.equal(transcript.isEmpty, true);
  assert.deepEqual(announced, ['Old.']);
  session.eventReceived({ type: 'clear', nextSegmentId: 3 });
  session.eventReceived({ type: 'final', segmentId: 3, text: 'New.' });
  assert.equal(transcript.text, 'New.');
  assert.deepEqual(connection.sent, ['clear']);
});
