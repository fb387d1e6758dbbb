import assert from 'node:assert/strict';
import { mock, test } from 'node:test';

import {
  RATE_HZ, connects, disconnects, keys, link, notices, resumes, session, state, talks, transcript,
} from './session-harness.mjs';

test('a session that is resumed: nothing is started again, nothing is called lost, and the words go on', async () => {
  connects();
  const microphone = await talks();
  session.eventArrived({ type: 'status', state: 'recording' });
  session.eventArrived({ type: 'realtime', segmentId: 1, sequence: 1, stableText: 'half', unstableText: ' a' });
  disconnects(1, false, 10);
  link.sent.length = 0;
  microphone.hears();
  assert.equal(transcript.entries[0].phase, 'live');
  assert.equal(state.unsentS, 0);
  resumes();
  assert.deepEqual([link.sent.filter((each) => each === 'start'), link.sent.length], [[], 1]);
  assert.deepEqual([state.model, state.sessionId, state.recorder], ['ready', 'a', 'recording']);
  session.eventArrived({ type: 'final', segmentId: 1, text: 'Half a sentence.' });
  assert.deepEqual(transcript.entries.map(({ kind, phase }) => [kind, phase]), [['block', 'final']]);
  assert.deepEqual(keys(), []);
});

test('words whose session is away for longer than its grace are called lost, until it is back all the same', async () => {
  connects();
  await talks();
  session.eventArrived({ type: 'realtime', segmentId: 1, sequence: 1, stableText: 'half', unstableText: '' });
  disconnects(1, false, 10);
  mock.timers.tick(9_999);
  assert.equal(transcript.entries[0].phase, 'live');
  mock.timers.tick(1);
  assert.deepEqual([transcript.entries[0].phase, transcript.entries[0].loss], ['lost', 'disconnected']);
  resumes();
  session.eventArrived({ type: 'realtime', segmentId: 1, sequence: 2, stableText: 'half a', unstableText: '' });
  assert.deepEqual([transcript.entries[0].phase, transcript.entries[0].loss], ['live', '']);
});

test('what a resumed session missed is said: sound in the transcript, messages in a sentence', async () => {
  connects();
  await talks();
  session.eventArrived({ type: 'final', segmentId: 1, text: 'Before.' });
  disconnects(1, false, 10);
  resumes({ missedEvents: 3 });
  session.missed(2.5);
  assert.equal(transcript.entries[1].missedS, 2.5);
  assert.equal(state.unsentS, 2.5);
  assert.match(notices.list[0].text, /3 messages/);
});

test('a session that cannot be resumed ends with the hello of the next, which says what was missed', async () => {
  connects();
  await talks();
  session.eventArrived({ type: 'realtime', segmentId: 1, sequence: 1, stableText: 'half', unstableText: '' });
  disconnects(1, false, 10);
  session.missed(4); // as the link tells with the new session's hello
  link.sent.length = 0;
  link.keepsS = 0;
  connects();
  assert.deepEqual(link.sent, ['start']);
  assert.deepEqual(transcript.entries.map(({ kind, phase, missedS }) => [kind, phase ?? missedS]), [['block', 'lost'], ['break', 4]]);
});

test('a clear between two connections of a session waits for the server as any other', () => {
  connects();
  session.eventArrived({ type: 'final', segmentId: 1, text: 'Old.' });
  disconnects(1, false, 10);
  session.clear();
  resumes();
  session.eventArrived({ type: 'final', segmentId: 2, text: 'Still old.' });
  assert.equal(transcript.isEmpty, true);
  session.eventArrived({ type: 'clear', nextSegmentId: 3 });
  session.eventArrived({ type: 'final', segmentId: 3, text: 'New.' });
  assert.equal(transcript.text, 'New.');
});

test('sound that was shed and is sent after all no longer counts as unsent', async () => {
  connects();
  const microphone = await talks();
  link.bufferedBytes = RATE_HZ * 2 * 3;
  for (let i = 0; i < 5; i += 1) microphone.hears();
  assert.deepEqual([link.shedS.toFixed(2), state.unsentS.toFixed(2)], ['0.20', '0.20']);
  disconnects(1, false, 10);
  resumes({ recoveredS: 0.2 });
  assert.equal(state.unsentS.toFixed(2), '0.00');
});

test('nothing is shed while what was kept goes out', async () => {
  connects();
  const microphone = await talks();
  link.isCatchingUp = true;
  link.bufferedBytes = RATE_HZ * 2 * 3;
  link.sent.length = 0;
  microphone.hears();
  assert.deepEqual([link.sent.length, state.unsentS], [1, 0]);
});
