import assert from 'node:assert/strict';
import { test } from 'node:test';

import { encodeCommand, parseEvent } from '../../web/protocol.js';

const parse = (event) => parseEvent(JSON.stringify(event));

test('a partial is split as the server splits it, spaces and punctuation included', () => {
  const event = parse({
    type: 'realtime', segmentId: 3, sequence: 9, text: 'please book the', displayText: 'please book the',
    stableText: 'please book', unstableText: ' the', visualUnstableText: ' the',
    segment: { segmentId: 3, recordingStartedAt: 1.5 },
  });
  assert.equal(event.stableText, 'please book');
  assert.equal(event.unstableText, ' the');
  assert.equal(event.segment.recordingStartedAt, 1.5);
});

test('a partial without a split is provisional as a whole', () => {
  const both = (event) => [event.stableText, event.unstableText];
  assert.deepEqual(both(parse({ type: 'realtime', segmentId: 1, displayText: 'so', text: 'no' })), ['', 'so']);
  assert.deepEqual(both(parse({ type: 'realtime', segmentId: 1, text: 'so' })), ['', 'so']);
});

test('only an explicit false makes a server not ok', () => {
  assert.equal(parse({ type: 'ready' }).ok, true);
  assert.equal(parse({ type: 'ready', ok: false }).ok, false);
});

test('of the timeline, only a closed segment concerns the transcript', () => {
  assert.deepEqual(parse({ type: 'timeline', event: 'segment_closed', segmentId: 4, reason: 'empty' }), {
    type: 'closed', segmentId: 4, reason: 'empty',
  });
  assert.equal(parse({ type: 'timeline', event: 'recording_started', segmentId: 4 }), null);
});

test('what is no event of ours is passed over', () => {
  const frames = [
    '', '{', 'null', '[]', '3', '"final"', '{}', '{"type":7}', '{"type":"hasOwnProperty"}', '{"type":"__proto__"}',
    '{"type":"final","text":"no id"}', '{"type":"realtime","segmentId":"1","text":"id of the wrong type"}',
    '{"type":"of_a_newer_server"}',
  ];
  for (const frame of frames) assert.equal(parseEvent(frame), null, frame);
});

test('fields of the wrong type become empty ones', () => {
  assert.deepEqual(parse({ type: 'error', message: 7, where: null }), { type: 'error', message: '', where: '' });
});

test('a command is one JSON object', () => {
  assert.deepEqual(JSON.parse(encodeCommand('start')), { type: 'start' });
});
