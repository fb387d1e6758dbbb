import assert from 'node:assert/strict';
import { mock, test } from 'node:test';

import { AudioError } from '../../web/audio/capture.js';
import {
  LINK, PACKET, RATE_HZ, connects, disconnects, keys, link, microphones, notices, read, session, settled, state, talks, transcript,
} from './session-harness.mjs';

test('talking starts the stream, and stopping sends the last samples before the stop', async () => {
  connects();
  const microphone = await talks();
  microphone.hears();
  assert.equal(state.talk, 'live');
  await session.talk.toggle();
  assert.equal(state.talk, 'off');
  assert.equal(microphone.isStopped, true);
  const [start, packet, last, stop] = link.sent;
  assert.deepEqual([start, stop, link.sent.length], ['start', 'stop', 4]);
  assert.equal(packet - last, (1920 - 7) * 2 + '1920'.length - '7'.length);
});

test('the final that comes after the stop is shown and read out', async () => {
  connects();
  await talks();
  await session.talk.toggle();
  session.eventArrived({ type: 'final', segmentId: 1, text: 'Good night.' });
  assert.equal(transcript.text, 'Good night.');
  assert.deepEqual(read, ['Good night.']);
});

test('a lost link while talking: start is sent again, the stream goes on, and what was missed is told', async () => {
  connects();
  const microphone = await talks();
  session.eventArrived({ type: 'final', segmentId: 1, text: 'Before.' });
  disconnects();
  for (let i = 0; i < 50; i += 1) microphone.hears();
  link.sent.length = 0;
  connects();
  microphone.hears();
  assert.equal(link.sent[0], 'start');
  assert.equal(link.sent.length, 2);
  assert.equal(transcript.entries[1].missedS.toFixed(2), '2.00');
  assert.equal(state.unsentS.toFixed(2), '2.00');
});

test('a link that returns while nobody talks starts nothing', async () => {
  connects();
  await talks();
  await session.talk.toggle();
  link.sent.length = 0;
  disconnects();
  connects();
  assert.deepEqual(link.sent, []);
});

test('talk pressed before the server answers begins with its hello', async () => {
  await talks();
  assert.deepEqual(link.sent, []);
  connects();
  assert.deepEqual(link.sent, ['start']);
});

test('a socket that does not drain sheds sound, counts it and recovers', async () => {
  connects();
  const microphone = await talks();
  link.sent.length = 0;
  link.bufferedBytes = RATE_HZ * 2 * 3;
  microphone.hears();
  assert.deepEqual(link.sent, []);
  assert.equal(state.unsentS, 0.04);
  link.bufferedBytes = 0;
  microphone.hears();
  assert.equal(link.sent.length, 1);
});

test('a mind changed while the browser asks leaves no open microphone behind', async () => {
  connects();
  void session.talk.toggle();
  await session.talk.toggle();
  assert.equal(state.talk, 'off');
  await microphones[0].opens();
  assert.equal(microphones[0].isStopped, true);
  assert.deepEqual(link.sent, []);
});

test('two questions to the browser, answered in any order, make one stream', async () => {
  connects();
  void session.talk.toggle();
  await session.talk.toggle();
  void session.talk.toggle();
  await microphones[1].opens();
  await microphones[0].opens();
  assert.equal(state.talk, 'live');
  assert.deepEqual([microphones[0].isStopped, microphones[1].isStopped], [true, false]);
  assert.deepEqual(link.sent, ['start']);
});

for (const code of [
  ...['insecure', 'unsupported', 'no_worklet', 'denied', 'missing', 'busy', 'failed'],
  ...['share_denied', 'share_failed', 'share_silent', 'file_large', 'file_unreadable'],
]) {
  test(`a source that is ${code} gives a sentence, and Talk can be pressed again`, async () => {
    connects();
    void session.talk.toggle();
    await microphones[0].fails(new AudioError(code));
    assert.equal(state.talk, 'off');
    assert.deepEqual(keys(), ['sound']);
    assert.match(notices.list[0].text, /^[A-Z].{20,}\.$/);
    await talks();
    assert.deepEqual(keys(), []);
    assert.deepEqual(link.sent, ['start']);
  });
}

test('an unplugged microphone gives way to another one within the same stream', async () => {
  connects();
  const microphone = await talks();
  microphone.handlers.onEnd();
  await settled();
  await microphones[1].opens();
  assert.equal(state.talk, 'live');
  assert.equal(microphone.isStopped, true);
  link.sent.length = 0;
  microphone.hears();
  microphones[1].hears();
  assert.equal(link.sent.length, 1, 'only the one that is heard now');
  assert.deepEqual(keys(), ['sound']);
  assert.match(notices.list[0].text, /through A microphone\.$/);
});

test('an unplugged microphone without another one ends the stream properly and says so', async () => {
  connects();
  const microphone = await talks();
  microphone.handlers.onEnd();
  await settled();
  await microphones[1].fails(new AudioError('missing'));
  assert.equal(state.talk, 'off');
  assert.equal(link.sent.at(-1), 'stop');
  assert.deepEqual(keys(), ['sound']);
});

test('another choice of microphone is heard at once, and the stream goes on', async () => {
  connects();
  const microphone = await talks();
  void session.talk.reopenMicrophone();
  await settled();
  await microphones[1].opens();
  assert.deepEqual([microphone.isStopped, microphones[1].isStopped, state.talk], [true, false, 'live']);
  assert.equal(link.sent.filter((each) => typeof each === 'string').join(), 'start');
});

test('two changes in a row leave one microphone open', async () => {
  connects();
  await talks();
  void session.talk.reopenMicrophone();
  void session.talk.reopenMicrophone();
  await settled();
  await Promise.all(microphones.slice(1).map((each) => each.opens()));
  assert.deepEqual(microphones.map((each) => each.isStopped), [true, true, false]);
});

test('a stop while another microphone opens leaves none open', async () => {
  connects();
  await talks();
  void session.talk.reopenMicrophone();
  await settled();
  await session.talk.toggle();
  await microphones[1].opens();
  assert.deepEqual(microphones.map((each) => each.isStopped), [true, true]);
  assert.equal(state.talk, 'off');
});

test('a microphone that the system mutes is said, until it sounds again', async () => {
  connects();
  const microphone = await talks();
  microphone.handlers.onMuted(true);
  assert.deepEqual(keys(), ['muted']);
  microphone.handlers.onMuted(false);
  assert.deepEqual(keys(), []);
});

/** A file whose handlers the test drives. */
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

test('a file takes the place of the microphone, waits for the server, and stops by itself at its end', async () => {
  connects();
  const microphone = await talks();
  const { opened, source } = file();
  await session.talk.hear(source);
  assert.equal(microphone.isStopped, true);
  assert.deepEqual([state.talk, state.source, state.sourceLabel], ['live', 'file', 'talk.wav']);
  assert.deepEqual(link.sent.filter((each) => typeof each === 'string'), ['start', 'stop', 'start']);
  assert.equal(opened.handlers.isReady(), true);
  link.bufferedBytes = 100_000;
  assert.equal(opened.handlers.isReady(), false);
  disconnects();
  assert.equal(opened.handlers.isReady(), false);
  link.bufferedBytes = 0;
  connects();
  opened.handlers.onSamples(PACKET, 16_000);
  opened.handlers.onEnd();
  await settled();
  assert.equal(link.sent.at(-1), 'stop');
  assert.deepEqual([state.talk, state.source, state.unsentS], ['off', null, 0]);
  assert.deepEqual(keys(), []);
});

test('the browser that asks gets a reason beside its question, which goes with the answer', async () => {
  connects();
  void session.talk.toggle();
  mock.timers.tick(399);
  assert.deepEqual(keys(), []);
  mock.timers.tick(1);
  assert.deepEqual(keys(), ['reason']);
  await microphones[0].opens();
  assert.deepEqual(keys(), []);
});

test('a model that loads gets its sentence only when it takes a while', () => {
  link.isOpen = true;
  session.linkChanged({ ...LINK, phase: 'open' });
  session.eventArrived({ type: 'hello', sessionId: 'a' });
  assert.deepEqual(keys(), []);
  mock.timers.tick(500);
  assert.deepEqual(keys(), ['model']);
  session.eventArrived({ type: 'ready', ok: true });
  assert.deepEqual(keys(), []);
  assert.equal(state.model, 'ready');
});

test('an engine that failed is said, and forgotten when the server returns healthy', () => {
  connects();
  session.eventArrived({ type: 'ready', ok: false });
  session.eventArrived({ type: 'error', where: 'main_engine', message: 'no such file: m.ort' });
  assert.equal(state.model, 'failed');
  assert.match(notices.list[0].text, /no such file: m\.ort\.$/);
  disconnects();
  connects();
  assert.equal(state.model, 'ready');
  assert.deepEqual(keys(), []);
});

test('a full server has one sentence until there is room', () => {
  session.eventArrived({ type: 'error', where: 'admission', message: 'full' });
  disconnects(1, true);
  disconnects(2, true);
  assert.deepEqual(keys(), ['link']);
  assert.match(notices.list[0].text, /full/);
  assert.equal(notices.list[0].count, 1);
  connects();
  assert.deepEqual(keys(), []);
});

test('a server that asks for a key is said at once, in the place of one that cannot be reached', () => {
  disconnects(2);
  session.linkChanged({ ...LINK, phase: 'locked', failures: 2 });
  assert.deepEqual(notices.list.map(({ key, retry }) => [key, retry]), [['key', 'Enter the key']]);
  connects();
  assert.deepEqual(keys(), []);
});

test('one short loss says nothing, a longer one does', () => {
  connects();
  disconnects(1);
  assert.deepEqual(keys(), []);
  disconnects(2);
  assert.deepEqual(keys(), ['link']);
});

test('repeated warnings count instead of piling up, and many kinds do not bury the page', () => {
  connects();
  for (let i = 0; i < 3; i += 1) session.eventArrived({ type: 'warning', message: 'too loud' });
  assert.deepEqual(notices.list.map(({ text, count }) => [text, count]), [['too loud.', 3]]);
  for (let i = 0; i < 20; i += 1) session.eventArrived({ type: 'warning', message: `kind ${i}` });
  assert.equal(notices.list.length, 4);
  assert.equal(notices.list.at(-1).text, 'kind 19.');
});

test('clear empties the page at once and asks the server to forget', () => {
  connects();
  session.eventArrived({ type: 'final', segmentId: 1, text: 'Old.' });
  session.clear();
  session.eventArrived({ type: 'final', segmentId: 2, text: 'Still old.' });
  assert.equal(transcript.isEmpty, true);
  assert.deepEqual(read, ['Old.']);
  session.eventArrived({ type: 'clear', nextSegmentId: 3 });
  session.eventArrived({ type: 'final', segmentId: 3, text: 'New.' });
  assert.equal(transcript.text, 'New.');
  assert.deepEqual(link.sent, ['clear']);
});
