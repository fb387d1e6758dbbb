import assert from 'node:assert/strict';
import { mock, test } from 'node:test';

import {
  RATE_HZ, connects, disconnects, keys, connection, notices, resumes, session, state, talks, transcript,
} from './session-harness.mjs';

test('a resumed session sends no second start and loses no words', async () => {
  connects();
  const microphone = await talks();
  session.eventReceived({ type: 'status', state: 'recording' });
  session.eventReceived({ type: 'realtime', segmentId: 1, sequence: 1, stableText: 'half', unstableText: ' a' });
  disconnects(1, false, 10);
  connection.sent.length = 0;
  microphone.captures();
  assert.equal(transcript.entries[0].phase, 'live');
  assert.equal(state.unsentS, 0);
  resumes();
  assert.deepEqual([connection.sent.filter((each) => each === 'start'), connection.sent.length], [[], 1]);
  assert.deepEqual([state.model, state.sessionId, state.recorder], ['ready', 'a', 'recording']);
  session.eventReceived({ type: 'final', segmentId: 1, text: 'Half a sentence.' });
  assert.deepEqual(transcript.entries.map(({ kind, phase }) => [kind, phase]), [['block', 'final']]);
  assert.deepEqual(keys(), []);
});

test('words are lost after the grace period, unless the session is resumed all the same', async () => {
  connects();
  await talks();
  session.eventReceived({ type: 'realtime', segmentId: 1, sequence: 1, stableText: 'half', unstableText: '' });
  disconnects(1, false, 10);
  mock.timers.tick(9_999);
  assert.equal(transcript.entries[0].phase, 'live');
  mock.timers.tick(1);
  assert.deepEqual([transcript.entries[0].phase, transcript.entries[0].loss], ['lost', 'disconnected']);
  resumes();
  session.eventReceived({ type: 'realtime', segmentId: 1, sequence: 2, stableText: 'half a', unstableText: '' });
  assert.deepEqual([transcript.entries[0].phase, transcript.entries[0].loss], ['live', '']);
});

test('lost audio shows in the transcript, and lost events in a notice', async () => {
  connects();
  await talks();
  session.eventReceived({ type: 'final', segmentId: 1, text: 'Before.' });
  disconnects(1, false, 10);
  resumes({ missedEvents: 3 });
  session.audioLost(2.5);
  assert.equal(transcript.entries[1].lostS, 2.5);
  assert.equal(state.unsentS, 2.5);
  assert.match(notices.list[0].text, /3 messages/);
});

test('a session that cannot be resumed ends with the next hello and reports lost audio', async () => {
  connects();
  await talks();
  session.eventReceived({ type: 'realtime', segmentId: 1, sequence: 1, stableText: 'half', unstableText: '' });
  disconnects(1, false, 10);
  session.audioLost(4); // the connection reports it before the new session's hello
  connection.sent.length = 0;
  connection.graceS = 0;
  connects();
  assert.deepEqual(connection.sent, ['start']);
  assert.deepEqual(transcript.entries.map(({ kind, phase, lostS }) => [kind, phase ?? lostS]), [['block', 'lost'], ['break', 4]]);
});

test('clear during a loss waits for its confirmation', () => {
  connects();
  session.eventReceived({ type: 'final', segmentId: 1, text: 'Old.' });
  disconnects(1, false, 10);
  session.clear();
  resumes();
  session.eventReceived({ type: 'final', segmentId: 2, text: 'Still old.' });
  assert.equal(transcript.isEmpty, true);
  session.eventReceived({ type: 'clear', nextSegmentId: 3 });
  session.eventReceived({ type: 'final', segmentId: 3, text: 'New.' });
  assert.equal(transcript.text, 'New.');
});

test('shed audio that is sent after all no longer counts as unsent', async () => {
  connects();
  const microphone = await talks();
  connection.bufferedBytes = RATE_HZ * 2 * 3;
  for (let i = 0; i < 5; i += 1) microphone.captures();
  assert.deepEqual([connection.shedS.toFixed(2), state.unsentS.toFixed(2)], ['0.20', '0.20']);
  disconnects(1, false, 10);
  resumes({ recoveredS: 0.2 });
  assert.equal(state.unsentS.toFixed(2), '0.00');
});

test('nothing is shed while catching up', async () => {
  connects();
  const microphone = await talks();
  connection.isCatchingUp = true;
  connection.bufferedBytes = RATE_HZ * 2 * 3;
  connection.sent.length = 0;
  microphone.captures();
  assert.deepEqual([connection.sent.length, state.unsentS], [1, 0]);
});
