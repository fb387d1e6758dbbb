import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';

import { Levels } from '../../web/timeline/level-history.js';
import { momentAt, summary } from '../../web/timeline/timeline-text.js';
import { KEPT_S, Timeline } from '../../web/timeline/timeline.js';

/** The page's clock, and the server's, which is an hour behind. */
const T0 = 1_900_000_000;
const LAG_S = 3600;

let timeline;

/** An event that happened `happened` seconds after T0 and arrived at `arrived`. */
function arrives(event, happened, arrived = happened) {
  timeline.eventArrived({ at: T0 + happened - LAG_S, segmentId: null, segment: {}, wakeWord: '', durationSeconds: null, ...event }, T0 + arrived);
}
const status = (state) => ({ type: 'status', state });
const told = (event, more = {}) => ({ type: 'timeline', event, ...more });
const spansOf = (lane) =>
  timeline.spans.filter((span) => span.lane === lane).map(({ fromS, toS }) => [fromS - T0, toS === null ? null : toS - T0]);

beforeEach(() => {
  timeline = new Timeline();
  arrives(status('listening'), 0);
});

function says(segmentId, fromS, toS, writtenS) {
  arrives(status('voice'), fromS);
  arrives(told('recording_started', { segmentId }), fromS);
  arrives(told('recording_ended', { segmentId }), toS, toS + 0.5);
  arrives(status('silence'), toS);
  arrives(told('transcription_started', { segmentId }), toS, toS);
  arrives({ type: 'final', segmentId, text: `text ${segmentId}` }, writtenS);
}

test('recordings and recognition stand where the server says, on the page’s clock', () => {
  says(1, 2, 5, 6);
  assert.deepEqual(spansOf('recording'), [[2, 5]]);
  assert.deepEqual(spansOf('voice'), [[2, 5]]);
  assert.deepEqual(spansOf('recognition'), [[5, 6]]);
  assert.equal(timeline.spans.at(-1).tone, 'good');
  assert.match(timeline.spans.at(-1).label, /text 1/);
});

test('the next recording may begin before the text of the last, and each keeps its own', () => {
  arrives(told('recording_started', { segmentId: 1 }), 1);
  arrives(told('recording_ended', { segmentId: 1 }), 2);
  arrives(told('transcription_started', { segmentId: 1 }), 2);
  arrives(told('recording_started', { segmentId: 2 }), 2.5);
  arrives({ type: 'final', segmentId: 1, text: 'a' }, 4);
  assert.deepEqual(spansOf('recording'), [[1, 2], [2.5, null]]);
  assert.deepEqual(spansOf('recognition'), [[2, 4]]);
});

test('a segment without a final is told apart, with the reason', () => {
  arrives(told('recording_started', { segmentId: 1 }), 1);
  arrives(told('transcription_started', { segmentId: 1 }), 2);
  arrives({ type: 'closed', segmentId: 1, reason: 'failed' }, 3);
  assert.deepEqual(spansOf('recording'), [[1, 3]]);
  assert.equal(timeline.spans.at(-1).tone, 'bad');
});

test('the wake lane waits, hears, stays awake until the recording, and again afterwards', () => {
  arrives(told('wakeword_wait_started'), 1);
  arrives(told('wakeword_detected', { wakeWord: 'hey jarvis' }), 4);
  arrives(told('wakeword_wait_ended'), 4);
  arrives(told('recording_started', { segmentId: 1 }), 6);
  arrives(told('wakeword_followup_started', { durationSeconds: 5 }), 8);
  arrives(told('wakeword_followup_timeout'), 13);
  arrives(told('wakeword_wait_started'), 13);
  assert.deepEqual(spansOf('wake'), [[1, 4], [4, 6], [8, 13], [13, null]]);
  assert.deepEqual(timeline.marks.map(({ label }) => label), ['heard “hey jarvis”']);
});

test('nothing goes on after the connection is lost or all is cleared', () => {
  arrives(told('recording_started', { segmentId: 1 }), 1);
  arrives(told('wakeword_wait_started'), 1);
  arrives({ type: 'clear', nextSegmentId: 2 }, 3);
  assert.deepEqual([...spansOf('recording'), ...spansOf('wake')], [[1, 3], [1, 3]]);
  arrives(told('recording_started', { segmentId: 2 }), 4);
  timeline.disconnected(T0 + 5);
  assert.deepEqual(spansOf('recording'), [[1, 3], [4, 5]]);
});

test('ids that a new connection uses again open new spans, on the new server’s clock', () => {
  arrives(told('recording_started', { segmentId: 1 }), 1);
  timeline.disconnected(T0 + 2);
  timeline.eventArrived({ type: 'status', state: 'listening', at: 50 }, T0 + 10);
  timeline.eventArrived({ ...told('recording_started', { segmentId: 1 }), at: 51, segment: {} }, T0 + 11.5);
  assert.deepEqual(spansOf('recording'), [[1, 2], [11, null]]);
});

test('nothing happens in the future, and nothing lasts less than no time', () => {
  arrives(told('recording_started', { segmentId: 1 }), 9, 1);
  arrives(told('recording_ended', { segmentId: 1 }), 0.5, 2);
  assert.deepEqual(spansOf('recording'), [[1, 1]]);
});

test('what is older than ten minutes is forgotten, and what still runs is not', () => {
  arrives(told('wakeword_wait_started'), 0);
  arrives(told('wakeword_wait_ended'), 1);
  for (let i = 0; i < 100; i += 1) says(i, 10 * i + 2, 10 * i + 5, 10 * i + 6);
  arrives(told('recording_started', { segmentId: 100 }), 1000);
  arrives({ type: 'realtime', segmentId: 100, stableText: '', unstableText: 'x' }, 1000 + KEPT_S * 2);
  assert.deepEqual(spansOf('recording'), [[1000, null]]);
  assert.deepEqual(timeline.marks.length, 1);
});

test('a moment tells what was there, and short things are found around their place', () => {
  says(3, 2, 5, 5.1);
  const at = (seconds) => momentAt(timeline, { atS: T0 + seconds, spanS: 30, nowS: T0 + 20 }).map(({ label }) => label);
  assert.deepEqual(at(3), ['voice (3.0 s)', 'recording 3 (3.0 s)']);
  assert.deepEqual(at(5.3), ['voice (3.0 s)', 'recording 3 (3.0 s)', 'wrote 3: \u2068text 3\u2069 (0.1 s)']);
  assert.deepEqual(at(12), []);
  arrives(told('recording_started', { segmentId: 4 }), 18);
  assert.deepEqual(at(19), ['recording 4 (2.0 s so far)']);
});

test('the summary counts what is in sight only', () => {
  assert.equal(summary(timeline, { spanS: 30, nowS: T0 + 20 }), 'Nothing was recorded.');
  says(1, 2, 5, 6);
  says(2, 50, 53, 54);
  assert.equal(summary(timeline, { spanS: 30, nowS: T0 + 60 }), '1 recording of 3.0 s in all, 1 final text.');
  assert.equal(summary(timeline, { spanS: 600, nowS: T0 + 60 }), '2 recordings of 6.0 s in all, 2 final texts.');
});

test('levels are the loudest of their stretch, for ten minutes, and silence where nobody listened', () => {
  const levels = new Levels();
  levels.push(0.25, T0);
  levels.push(0.75, T0 + 0.05);
  levels.push(0.5, T0 + 1);
  assert.equal(levels.loudest(T0 - 1, T0 + 2), 0.75);
  assert.equal(levels.loudest(T0 + 0.5, T0 + 2), 0.5);
  assert.equal(levels.loudest(T0 + 0.1, T0 + 1), 0);
  assert.equal(levels.loudest(T0 + 2, T0 + 9), 0);
  levels.push(0.125, T0 + KEPT_S);
  assert.equal(levels.loudest(T0, T0 + 0.2), 0);
  assert.equal(levels.loudest(T0 + 1, T0 + KEPT_S + 1), 0.5);
  levels.push(0.125, T0 + 3 * KEPT_S);
  assert.equal(levels.loudest(T0, T0 + 3 * KEPT_S), 0);
  levels.push(0.25, T0 - 50);
  assert.equal(levels.loudest(T0 - 60, T0 + 3 * KEPT_S), 0.25);
});
