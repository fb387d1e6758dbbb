import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';

import { LevelHistory } from '../../web/timeline/level-history.js';
import { eventsAt, summary } from '../../web/timeline/timeline-text.js';
import { KEPT_S, Timeline } from '../../web/timeline/timeline.js';

/** T0 is on the page's clock; the server's is an hour behind. */
const T0 = 1_900_000_000;
const LAG_S = 3600;

let timeline;

/** An event with the timestamp T0 + `happened` arrives at T0 + `arrived`. */
function arrives(event, happened, arrived = happened) {
  timeline.eventReceived({ at: T0 + happened - LAG_S, segmentId: null, segment: {}, wakeWord: '', durationSeconds: null, ...event }, T0 + arrived);
}
const status = (state) => ({ type: 'status', state });
const timelineEvent = (event, more = {}) => ({ type: 'timeline', event, ...more });
const spansOf = (track) =>
  timeline.spans.filter((span) => span.track === track).map(({ fromS, toS }) => [fromS - T0, toS === null ? null : toS - T0]);

beforeEach(() => {
  timeline = new Timeline();
  arrives(status('listening'), 0);
});

function utterance(segmentId, fromS, toS, writtenS) {
  arrives(status('voice'), fromS);
  arrives(timelineEvent('recording_started', { segmentId }), fromS);
  arrives(timelineEvent('recording_ended', { segmentId }), toS, toS + 0.5);
  arrives(status('silence'), toS);
  arrives(timelineEvent('transcription_started', { segmentId }), toS, toS);
  arrives({ type: 'final', segmentId, text: `text ${segmentId}` }, writtenS);
}

test('spans have the server’s times on the page’s clock', () => {
  utterance(1, 2, 5, 6);
  assert.deepEqual(spansOf('recording'), [[2, 5]]);
  assert.deepEqual(spansOf('voice'), [[2, 5]]);
  assert.deepEqual(spansOf('recognition'), [[5, 6]]);
  assert.equal(timeline.spans.at(-1).tone, 'good');
  assert.match(timeline.spans.at(-1).label, /text 1/);
});

test('a recording may start before the previous final, and each has its own span', () => {
  arrives(timelineEvent('recording_started', { segmentId: 1 }), 1);
  arrives(timelineEvent('recording_ended', { segmentId: 1 }), 2);
  arrives(timelineEvent('transcription_started', { segmentId: 1 }), 2);
  arrives(timelineEvent('recording_started', { segmentId: 2 }), 2.5);
  arrives({ type: 'final', segmentId: 1, text: 'a' }, 4);
  assert.deepEqual(spansOf('recording'), [[1, 2], [2.5, null]]);
  assert.deepEqual(spansOf('recognition'), [[2, 4]]);
});

test('a segment without a final is marked with the reason', () => {
  arrives(timelineEvent('recording_started', { segmentId: 1 }), 1);
  arrives(timelineEvent('transcription_started', { segmentId: 1 }), 2);
  arrives({ type: 'closed', segmentId: 1, reason: 'failed' }, 3);
  assert.deepEqual(spansOf('recording'), [[1, 3]]);
  assert.equal(timeline.spans.at(-1).tone, 'bad');
});

test('the wake track shows waiting, detection, and listening before and after a recording', () => {
  arrives(timelineEvent('wakeword_wait_started'), 1);
  arrives(timelineEvent('wakeword_detected', { wakeWord: 'hey jarvis' }), 4);
  arrives(timelineEvent('wakeword_wait_ended'), 4);
  arrives(timelineEvent('recording_started', { segmentId: 1 }), 6);
  arrives(timelineEvent('wakeword_followup_started', { durationSeconds: 5 }), 8);
  arrives(timelineEvent('wakeword_followup_timeout'), 13);
  arrives(timelineEvent('wakeword_wait_started'), 13);
  assert.deepEqual(spansOf('wake'), [[1, 4], [4, 6], [8, 13], [13, null]]);
  assert.deepEqual(timeline.marks.map(({ label }) => label), ['detected “hey jarvis”']);
});

test('a lost connection and clear close all open spans', () => {
  arrives(timelineEvent('recording_started', { segmentId: 1 }), 1);
  arrives(timelineEvent('wakeword_wait_started'), 1);
  arrives({ type: 'clear', nextSegmentId: 2 }, 3);
  assert.deepEqual([...spansOf('recording'), ...spansOf('wake')], [[1, 3], [1, 3]]);
  arrives(timelineEvent('recording_started', { segmentId: 2 }), 4);
  timeline.disconnected(T0 + 5);
  assert.deepEqual(spansOf('recording'), [[1, 3], [4, 5]]);
});

test('a new session reuses ids in new spans, on the new server’s clock', () => {
  arrives(timelineEvent('recording_started', { segmentId: 1 }), 1);
  timeline.disconnected(T0 + 2);
  timeline.eventReceived({ type: 'status', state: 'listening', at: 50 }, T0 + 10);
  timeline.eventReceived({ ...timelineEvent('recording_started', { segmentId: 1 }), at: 51, segment: {} }, T0 + 11.5);
  assert.deepEqual(spansOf('recording'), [[1, 2], [11, null]]);
});

test('no event is in the future, and no span has a negative length', () => {
  arrives(timelineEvent('recording_started', { segmentId: 1 }), 9, 1);
  arrives(timelineEvent('recording_ended', { segmentId: 1 }), 0.5, 2);
  assert.deepEqual(spansOf('recording'), [[1, 1]]);
});

test('closed spans are removed after ten minutes, open ones stay', () => {
  arrives(timelineEvent('wakeword_wait_started'), 0);
  arrives(timelineEvent('wakeword_wait_ended'), 1);
  for (let i = 0; i < 100; i += 1) utterance(i, 10 * i + 2, 10 * i + 5, 10 * i + 6);
  arrives(timelineEvent('recording_started', { segmentId: 100 }), 1000);
  arrives({ type: 'realtime', segmentId: 100, stableText: '', unstableText: 'x' }, 1000 + KEPT_S * 2);
  assert.deepEqual(spansOf('recording'), [[1000, null]]);
  assert.deepEqual(timeline.marks.length, 1);
});

test('the events at a moment include short ones near it', () => {
  utterance(3, 2, 5, 5.1);
  const at = (seconds) => eventsAt(timeline, { atS: T0 + seconds, rangeS: 30, nowS: T0 + 20 }).map(({ label }) => label);
  assert.deepEqual(at(3), ['voice (3.0 s)', 'utterance 3 (3.0 s)']);
  assert.deepEqual(at(5.3), ['voice (3.0 s)', 'utterance 3 (3.0 s)', 'final text of 3: \u2068text 3\u2069 (0.1 s)']);
  assert.deepEqual(at(12), []);
  arrives(timelineEvent('recording_started', { segmentId: 4 }), 18);
  assert.deepEqual(at(19), ['utterance 4 (2.0 s so far)']);
});

test('the summary counts only the visible range', () => {
  assert.equal(summary(timeline, { rangeS: 30, nowS: T0 + 20 }), 'Nothing was said.');
  utterance(1, 2, 5, 6);
  utterance(2, 50, 53, 54);
  assert.equal(summary(timeline, { rangeS: 30, nowS: T0 + 60 }), '1 utterance, 3.0 s in total, 1 final text.');
  assert.equal(summary(timeline, { rangeS: 600, nowS: T0 + 60 }), '2 utterances, 6.0 s in total, 2 final texts.');
});

test('levels are maxima over ten minutes, and 0 where nothing was captured', () => {
  const levels = new LevelHistory();
  levels.push(0.25, T0);
  levels.push(0.75, T0 + 0.05);
  levels.push(0.5, T0 + 1);
  assert.equal(levels.max(T0 - 1, T0 + 2), 0.75);
  assert.equal(levels.max(T0 + 0.5, T0 + 2), 0.5);
  assert.equal(levels.max(T0 + 0.1, T0 + 1), 0);
  assert.equal(levels.max(T0 + 2, T0 + 9), 0);
  levels.push(0.125, T0 + KEPT_S);
  assert.equal(levels.max(T0, T0 + 0.2), 0);
  assert.equal(levels.max(T0 + 1, T0 + KEPT_S + 1), 0.5);
  levels.push(0.125, T0 + 3 * KEPT_S);
  assert.equal(levels.max(T0, T0 + 3 * KEPT_S), 0);
  levels.push(0.25, T0 - 50);
  assert.equal(levels.max(T0 - 60, T0 + 3 * KEPT_S), 0.25);
});
