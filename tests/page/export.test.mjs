import assert from 'node:assert/strict';
import { test } from 'node:test';

import { asJson, asText, fileName, subtitleSegments } from '../../web/transcript/export.js';
import { Transcript } from '../../web/transcript/transcript.js';

const T0 = 1_900_000_000;

/** A transcript; `say` adds a final with these times. */
function transcript() {
  const empty = new Transcript();
  let id = 0;
  empty.connected(0);
  return Object.assign(empty, {
    say: (text, times = {}) => empty.final({ type: 'final', segmentId: (id += 1), text, at: null, segment: times }),
  });
}

const spoken = (fromS, toS, wallS = T0 + fromS) => ({
  recordingStartedAt: wallS, recordingEndedAt: wallS + toS - fromS, durationSeconds: toS - fromS,
  audioStartSeconds: fromS, audioEndSeconds: toS,
});

const timesOf = (made) => subtitleSegments(made.entries).map(({ startSeconds, endSeconds }) => [startSeconds, endSeconds]);

test('subtitles use positions in the audio, not the wall clock', () => {
  const made = transcript();
  made.say('One.', spoken(1.25, 2.5, T0));
  made.say(' Two,\n\n three. ', spoken(3.125, 64.0625, T0 + 100));
  assert.deepEqual(subtitleSegments(made.entries), [
    { text: 'One.', startSeconds: 1.25, endSeconds: 2.5 },
    { text: 'Two, three.', startSeconds: 3.125, endSeconds: 64.0625 },
  ]);
});

test('utterances of a later session are shifted by the wall clock, with their pieces', () => {
  const made = transcript();
  made.say('Before.', spoken(10, 12, T0 + 10));
  made.disconnected();
  made.connected(4);
  const pieces = [{ text: 'After.', startSeconds: 1.5, endSeconds: 2, confidence: 0.9 }];
  made.final({ type: 'final', segmentId: 1, text: 'After.', segment: spoken(1.5, 3, T0 + 31.5), pieces });
  made.final({ type: 'final', segmentId: 2, text: 'Later.', segment: spoken(5, 6, T0 + 99) });
  assert.deepEqual(timesOf(made), [[10, 12], [31.5, 33], [35, 36]]);
  assert.deepEqual(subtitleSegments(made.entries)[1].pieces, [{ ...pieces[0], startSeconds: 31.5, endSeconds: 32 }]);
});

test('a gap between sessions counts for an hour at most', () => {
  const made = transcript();
  made.say('Monday.', spoken(0, 2));
  for (const day of [1, 2]) {
    made.connected(0);
    made.final({ type: 'final', segmentId: 1, text: 'Next day.', segment: spoken(1, 3, T0 + day * 86_400) });
    made.final({ type: 'final', segmentId: 2, text: 'Without positions.', segment: { recordingStartedAt: T0 + day * 86_400 + 9 } });
  }
  assert.deepEqual(timesOf(made).map(([start]) => start), [0, 3602, 3611, 7211, 7220]);
});

test('without audio positions, subtitles use the wall clock', () => {
  const made = transcript();
  made.say('One.', { recordingStartedAt: T0, durationSeconds: 2 });
  made.say('Two.', { recordingStartedAt: T0 + 5, recordingEndedAt: T0 + 6.5 });
  assert.deepEqual(timesOf(made), [[0, 2], [5, 6.5]]);
});

test('without any times, the server decides how long a text stays; a clock that was set back gives no time below 0', () => {
  const made = transcript();
  made.say('Short.');
  made.say('', spoken(1, 2));
  assert.deepEqual(subtitleSegments(made.entries), [{ text: 'Short.', startSeconds: 0 }]);
  const late = transcript();
  late.say('One.', spoken(5, 6));
  late.connected(0);
  late.final({ type: 'final', segmentId: 1, text: 'Two.', segment: spoken(1, 2, T0 - 500) });
  assert.deepEqual(timesOf(late), [[5, 6], [1, 2]]);
});

test('text has one line per block, and an empty line per break', () => {
  const made = transcript();
  made.say('One.');
  made.say('Two.');
  made.connected(1);
  made.realtime({ type: 'realtime', segmentId: 1, sequence: 1, stableText: 'three', unstableText: ' four', segment: {} });
  assert.equal(asText(made.entries), 'One.\nTwo.\n\nthree four\n');
});

test('JSON has every known field, and null for unknown ones', () => {
  const made = transcript();
  made.say('One.', { ...spoken(1.5, 2.5, T0), preRollSeconds: 0.75, wakeWord: 'hey jarvis', wakeWordAt: T0 - 2 });
  made.connected(2.5);
  made.say('שלום');
  assert.deepEqual(JSON.parse(asJson(made.entries)), [
    {
      kind: 'segment', connection: 1, segmentId: 1, final: true, text: 'One.',
      startedAt: '2030-03-17T17:46:40.000Z', endedAt: '2030-03-17T17:46:41.000Z', durationSeconds: 1,
      preRollSeconds: 0.75, wakeWord: 'hey jarvis', wakeWordAt: '2030-03-17T17:46:38.000Z',
      audioStartSeconds: 1.5, audioEndSeconds: 2.5, channel: null, pieces: null,
    },
    { kind: 'break', missedSeconds: 2.5 },
    {
      kind: 'segment', connection: 2, segmentId: 2, final: true, text: 'שלום', startedAt: null, endedAt: null,
      durationSeconds: null, preRollSeconds: null, wakeWord: null, wakeWordAt: null, audioStartSeconds: null,
      audioEndSeconds: null, channel: null, pieces: null,
    },
  ]);
});

test('a file name has the date and the minute', () => {
  assert.equal(fileName('srt', new Date(2030, 2, 7, 9, 5)), 'transcript-2030-03-07-0905.srt');
});
