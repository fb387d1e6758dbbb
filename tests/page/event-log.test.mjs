import assert from 'node:assert/strict';
import { test } from 'node:test';

import { SessionStats } from '../../web/timeline/session-stats.js';
import { connectionLine, logLine } from '../../web/timeline/event-log-text.js';
import { EventLog } from '../../web/timeline/event-log.js';
import { parseEvent } from '../../web/connection/protocol.js';

const line = (kind, title, detail = '') => ({ kind, tone: 'info', title, detail });
const parse = (event) => parseEvent(JSON.stringify(event));

test('entries are newest first, and live words are hidden by default', () => {
  const log = new EventLog();
  log.add(line('speech', 'one'), 1);
  log.add(line('details', 'two'), 2);
  log.add(line('trouble', 'three'), 3);
  assert.deepEqual(log.shown.map(({ title }) => title), ['three', 'one']);
  log.toggle('details');
  log.toggle('trouble');
  assert.deepEqual(log.shown.map(({ title }) => title), ['two', 'one']);
});

test('the log is bounded, and many live words displace no other kind', () => {
  const log = new EventLog();
  log.toggle('details');
  log.add(line('trouble', 'kept'), 0);
  for (let i = 0; i < 5000; i += 1) log.add(line('details', 'words', String(i)), i);
  assert.ok(log.shown.length <= 200);
  assert.equal(log.shown[0].detail, '4999');
  assert.equal(log.shown.at(-1).title, 'kept');
});

test('a repeated line increases its count and moves to its new time', () => {
  const log = new EventLog();
  log.add(line('trouble', 'busy'), 1);
  log.add(line('speech', 'other'), 2);
  log.add(line('trouble', 'busy'), 3);
  assert.deepEqual(log.shown.map(({ title, count, atMs }) => [title, count, atMs]), [['busy', 2, 3], ['other', 1, 2]]);
});

test('every kind of event has a text of its own', () => {
  const events = [
    { type: 'hello', sessionId: '9c4e0000' }, { type: 'ready' }, { type: 'ready', ok: false }, { type: 'clear' },
    { type: 'warning', message: 'x' }, { type: 'error', where: 'audio', message: 'x' },
    { type: 'heartbeat', audioReceivedSeconds: 12, realTimeFactor: 0.05, queueDelayMs: 3 },
    { type: 'realtime', segmentId: 1, text: 'x', timing: { total_latency_seconds: 0.2 } },
    { type: 'realtime', segmentId: 1, text: '', retracted: true },
    { type: 'final', segmentId: 1, text: 'x' },
    ...['empty', 'no_speech', 'repetition', 'failed', 'of_a_newer_server'].map((reason) => (
      { type: 'timeline', event: 'segment_closed', segmentId: 1, reason })),
    ...['recording_started', 'recording_ended', 'transcription_started', 'wakeword_wait_started', 'wakeword_wait_ended',
      'wakeword_detected', 'wakeword_timeout', 'wakeword_followup_started', 'wakeword_followup_timeout',
    ].map((event) => ({ type: 'timeline', event, segmentId: 1 })),
  ];
  const lines = events.map((event) => logLine(parse(event)));
  for (const [i, each] of lines.entries()) {
    assert.ok(each, JSON.stringify(events[i]));
    assert.match(each.title, /^[A-Z]/);
    assert.doesNotMatch(each.title + each.detail, /undefined|null|NaN|_/, JSON.stringify(events[i]).slice(0, 80));
  }
  assert.equal(new Set(lines.map(({ title, detail }) => title + detail)).size, lines.length, 'no two read the same');
});

test('an event that another event reports has no line', () => {
  for (const event of ['realtime_transcript', 'final_transcript', 'constructor']) {
    assert.equal(logLine(parse({ type: 'timeline', event, segmentId: 1 })), null);
  }
  assert.equal(logLine(parse({ type: 'status', state: 'recording' })), null);
});

test('a lost connection and a full server are logged once', () => {
  const connection = (phase, isFull = false) => ({ phase, isFull, failures: 1, retryAtMs: 0 });
  assert.match(connectionLine('open', connection('waiting')).title, /lost/);
  assert.match(connectionLine('connecting', connection('waiting', true)).title, /full/);
  assert.equal(connectionLine('waiting', connection('waiting')), null);
  assert.equal(connectionLine('waiting', connection('connecting')), null);
  assert.equal(connectionLine('connecting', connection('open')), null);
});

const realtime = (segmentId, latencyS, sinceStartS) => parse({
  type: 'realtime', segmentId, text: 'x', timestamp: 100 + sinceStartS, segment: { recordingStartedAt: 100 },
  timing: { total_latency_seconds: latencyS },
});
const figure = (stats, name) => new Map(stats.list(12.4)).get(name);

test('delays are medians, so one slow result does not look like a slow server', () => {
  const stats = new SessionStats();
  assert.equal(stats.chips.words.label, '');
  for (const latencyS of [0.1, 0.12, 9, 0.11, 0.1]) stats.eventReceived(realtime(1, latencyS, 0.6));
  assert.equal(stats.chips.words.label, 'Delay 0.1 s');
  assert.equal(figure(stats, 'Round trip to the server'), '12 ms');
});

test('first words count from the start of speech, once per utterance', () => {
  const stats = new SessionStats();
  for (const since of [0.4, 1, 2, 3]) stats.eventReceived(realtime(1, 0.1, since));
  stats.eventReceived(realtime(2, 0.1, 0.6));
  stats.eventReceived(realtime(3, 0.1, 0.5));
  assert.equal(figure(stats, 'First words after speech begins'), '500 ms');
  stats.eventReceived(parse({ type: 'hello', sessionId: 'b' }));
  stats.eventReceived(realtime(1, 0.1, 0.8));
  assert.equal(figure(stats, 'First words after speech begins'), '600 ms', 'ids begin again with a connection');
});

test('queue and degradation have chips only while they last and the connection is open', () => {
  const stats = new SessionStats();
  const status = (queueDepth, degraded) => parse({ type: 'status', state: 'recording', queueDepth, degraded });
  stats.eventReceived(status(1, false));
  assert.deepEqual([stats.chips.queue.label, stats.chips.degraded.label], ['', '']);
  stats.eventReceived(status(40, true));
  assert.deepEqual([stats.chips.queue.label, stats.chips.degraded.label], ['40 waiting', 'Server busy']);
  stats.disconnected();
  assert.deepEqual([stats.chips.queue.label, stats.chips.degraded.label], ['', '']);
});
