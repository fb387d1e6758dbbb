import assert from 'node:assert/strict';
import { test } from 'node:test';

import { encodeCommand, parseEvent } from '../../web/connection/protocol.js';

const parse = (event) => parseEvent(JSON.stringify(event));

test('a partial keeps the server’s split into stable and unstable text', () => {
  const event = parse({
    type: 'realtime', segmentId: 3, sequence: 9, text: 'please book the', displayText: 'please book the',
    stableText: 'please book', unstableText: ' the', visualUnstableText: ' the',
    segment: { segmentId: 3, recordingStartedAt: 1.5 },
  });
  assert.equal(event.stableText, 'please book');
  assert.equal(event.unstableText, ' the');
  assert.equal(event.segment.recordingStartedAt, 1.5);
});

test('a partial without a split is unstable as a whole', () => {
  const both = (event) => [event.stableText, event.unstableText];
  assert.deepEqual(both(parse({ type: 'realtime', segmentId: 1, displayText: 'so', text: 'no' })), ['', 'so']);
  assert.deepEqual(both(parse({ type: 'realtime', segmentId: 1, text: 'so' })), ['', 'so']);
});

test('withdrawn words become an event of their own', () => {
  assert.deepEqual(parse({ type: 'realtime', segmentId: 4, text: '', retracted: true }), { type: 'retracted', segmentId: 4 });
  assert.equal(parse({ type: 'realtime', retracted: true }), null);
});

test('only an explicit false means that the server is not ready', () => {
  assert.equal(parse({ type: 'ready' }).ok, true);
  assert.equal(parse({ type: 'ready', ok: false }).ok, false);
});

test('segment_closed becomes an event of its own and needs a segment id', () => {
  assert.deepEqual(parse({ type: 'timeline', event: 'segment_closed', segmentId: 4, reason: 'empty', timestamp: 9.5 }), {
    type: 'closed', segmentId: 4, reason: 'empty', at: 9.5, segment: {},
  });
  assert.equal(parse({ type: 'timeline', event: 'segment_closed', reason: 'empty' }), null);
  assert.equal(parse({ type: 'timeline', event: 'recording_started', segmentId: 4 }).segmentId, 4);
  assert.equal(parse({ type: 'timeline', event: 'wakeword_detected', wakeWord: { word: 'alexa' } }).wakeWord, 'alexa');
});

test('a segment keeps only fields of the right type', () => {
  const { segment } = parse({
    type: 'final', segmentId: 1, text: 'x',
    segment: {
      recordingStartedAt: 1.5, recordingEndedAt: '2', durationSeconds: null, audioStartSeconds: 0,
      preRecordingBuffer: { includedSeconds: 0.75 }, wakeWord: { detectedAt: 1.25, word: 'alexa' },
    },
  });
  assert.deepEqual(segment, {
    recordingStartedAt: 1.5, audioStartSeconds: 0, preRollSeconds: 0.75, wakeWordAt: 1.25, wakeWord: 'alexa',
  });
  assert.deepEqual(parse({ type: 'final', segmentId: 1, text: 'x', segment: 7 }).segment, {});
});

test('a status has the queue depth, and wake words only while they are enabled', () => {
  const status = parse({
    type: 'status', state: 'listening', queueDepth: 3, degraded: true, timestamp: 4, wakeWord: { wakeWords: 'alexa' },
  });
  assert.deepEqual(status, { type: 'status', state: 'listening', at: 4, queueDepth: 3, degraded: true, wakeWords: '' });
  const waiting = parse({ type: 'status', state: 'wakeword_wait', wakeWordEnabled: true, wakeWord: { wakeWords: 'alexa' } });
  assert.deepEqual([waiting.wakeWords, waiting.queueDepth, waiting.degraded], ['alexa', 0, false]);
});

test('malformed and unknown frames are ignored', () => {
  const frames = [
    '', '{', 'null', '[]', '3', '"final"', '{}', '{"type":7}', '{"type":"hasOwnProperty"}', '{"type":"__proto__"}',
    '{"type":"final","text":"no id"}', '{"type":"realtime","segmentId":"1","text":"id of the wrong type"}',
    '{"type":"of_a_newer_server"}',
  ];
  for (const frame of frames) assert.equal(parseEvent(frame), null, frame);
});

test('fields of the wrong type become empty', () => {
  assert.deepEqual(parse({ type: 'error', message: 7, where: null }), { type: 'error', message: '', where: '' });
});

test('a command is one JSON object', () => {
  assert.deepEqual(JSON.parse(encodeCommand('start')), { type: 'start' });
});
