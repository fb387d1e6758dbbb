import assert from 'node:assert/strict';
import { test } from 'node:test';

import { asJson, asSrt, asText, asVtt, cuesOf, fileName } from '../../web/transcript/export.js';
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

const SRT_CUE = /^(\d+)\n(\d\d):(\d\d):(\d\d),(\d{3}) --> (\d\d):(\d\d):(\d\d),(\d{3})\n(.+)\n$/;

/** A SubRip parser: cues separated by an empty line, each with a number, a line of times, and text. */
function parseSrt(text) {
  return text.split(/\n(?=\d+\n\d\d:)/).map((cue) => {
    const [, number, ...rest] = SRT_CUE.exec(cue) ?? assert.fail(JSON.stringify(cue));
    const [h1, m1, s1, ms1, h2, m2, s2, ms2] = rest.slice(0, 8).map(Number);
    const seconds = (h, m, s, ms) => h * 3600 + m * 60 + s + ms / 1000;
    return { number: Number(number), from: seconds(h1, m1, s1, ms1), to: seconds(h2, m2, s2, ms2), text: rest[8] };
  });
}

test('cues use positions in the audio, not the wall clock', () => {
  const made = transcript();
  made.say('One.', spoken(1.25, 2.5, T0));
  made.say('Two.', spoken(3.125, 64.0625, T0 + 100));
  made.say('Three.', spoken(3725.5, 3726.75, T0 + 9000));
  assert.deepEqual(parseSrt(asSrt(made.entries)), [
    { number: 1, from: 1.25, to: 2.5, text: 'One.' },
    { number: 2, from: 3.125, to: 64.063, text: 'Two.' },
    { number: 3, from: 3725.5, to: 3726.75, text: 'Three.' },
  ]);
});

test('cues of a later session are shifted by the wall clock', () => {
  const made = transcript();
  made.say('Before.', spoken(10, 12, T0 + 10));
  made.disconnected();
  made.connected(4);
  made.final({ type: 'final', segmentId: 1, text: 'After.', segment: spoken(1.5, 3, T0 + 31.5) });
  made.final({ type: 'final', segmentId: 2, text: 'Later.', segment: spoken(5, 6, T0 + 99) });
  const times = cuesOf(made.entries).map(({ startS, endS }) => [startS, endS]);
  assert.deepEqual(times, [[10, 12], [31.5, 33], [35, 36]]);
});

test('without audio positions, cues use the wall clock', () => {
  const made = transcript();
  made.say('One.', { recordingStartedAt: T0, durationSeconds: 2 });
  made.say('Two.', { recordingStartedAt: T0 + 5, recordingEndedAt: T0 + 6.5 });
  assert.deepEqual(cuesOf(made.entries).map(({ startS, endS }) => [startS, endS]), [[0, 2], [5, 6.5]]);
});

test('without any times, cues follow each other and last as long as reading takes', () => {
  const made = transcript();
  made.say('Short.');
  made.say('A sentence that takes somewhat longer to be read by anybody.');
  const [first, second] = cuesOf(made.entries);
  assert.equal(first.startS, 0);
  assert.equal(second.startS, first.endS);
  assert.ok(first.endS - first.startS >= 0.3);
  assert.ok(second.endS - second.startS > 3);
});

test('cues neither overlap, nor start before the previous one, nor end before they start', () => {
  const made = transcript();
  made.say('One.', spoken(1, 9));
  made.say('Two.', spoken(4, 5));
  made.say('Three.', spoken(3, 3.01));
  made.say('Four.', spoken(3, 10));
  const cues = cuesOf(made.entries);
  assert.equal(cues.length, 4);
  cues.forEach(({ startS, endS }, i) => {
    assert.ok(endS > startS);
    if (i > 0) assert.ok(startS >= cues[i - 1].startS);
    if (i > 0 && startS > cues[i - 1].startS) assert.ok(cues[i - 1].endS <= startS);
  });
});

test('arrows, markup and line breaks in the text give valid subtitles', () => {
  const made = transcript();
  made.say('a --> b', spoken(0, 1));
  made.say('one\n\ntwo <b>&amp; three', spoken(2, 3));
  assert.deepEqual(parseSrt(asSrt(made.entries)).map(({ text }) => text), ['a → b', 'one two <b>&amp; three']);
  assert.equal(
    asVtt(made.entries),
    'WEBVTT\n\n00:00:00.000 --> 00:00:01.000\na --&gt; b\n\n00:00:02.000 --> 00:00:03.000\none two &lt;b&gt;&amp;amp; three\n',
  );
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
      audioStartSeconds: 1.5, audioEndSeconds: 2.5,
    },
    { kind: 'break', missedSeconds: 2.5 },
    {
      kind: 'segment', connection: 2, segmentId: 2, final: true, text: 'שלום', startedAt: null, endedAt: null,
      durationSeconds: null, preRollSeconds: null, wakeWord: null, wakeWordAt: null, audioStartSeconds: null,
      audioEndSeconds: null,
    },
  ]);
});

test('a file name has the date and the minute', () => {
  assert.equal(fileName('srt', new Date(2030, 2, 7, 9, 5)), 'transcript-2030-03-07-0905.srt');
});
