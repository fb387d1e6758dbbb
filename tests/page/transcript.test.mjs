import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Transcript } from '../../web/transcript/transcript.js';

const partial = (segmentId, stableText, unstableText = '', sequence = 1) => ({
  type: 'realtime', segmentId, sequence, stableText, unstableText,
});
const final = (segmentId, text) => ({ type: 'final', segmentId, text });
const shown = (transcript) =>
  transcript.entries.map((entry) =>
    entry.kind === 'break' ? `-- ${entry.lostS}` : `${entry.segmentId} ${entry.phase} ${entry.stable}|${entry.unstable}`,
  );

function connected(onChange) {
  const transcript = new Transcript(onChange);
  transcript.connected(0);
  return transcript;
}

test('a final replaces only the partial of its segment', () => {
  const transcript = connected();
  transcript.realtime(partial(1, 'please book', ' the'));
  transcript.final(final(1, 'Please book the room.'));
  transcript.realtime(partial(2, '', 'and'));
  assert.deepEqual(shown(transcript), ['1 final Please book the room.|', '2 live |and']);
});

test('a partial that is older or follows the final is ignored', () => {
  const transcript = connected();
  transcript.realtime(partial(1, 'one two', ' three', 4));
  transcript.realtime(partial(1, 'one', ' two', 3));
  assert.deepEqual(shown(transcript), ['1 live one two| three']);
  transcript.final(final(1, 'One two three.'));
  transcript.realtime(partial(1, 'one two', ' three', 5));
  assert.deepEqual(shown(transcript), ['1 final One two three.|']);
});

test('a resumed turn keeps its words until the next ones replace them', () => {
  const transcript = connected();
  transcript.realtime(partial(1, 'we went to', '', 4));
  transcript.final(final(1, 'We went to.'));
  transcript.turnResumed({ type: 'turn_resumed', segmentId: 1 });
  assert.deepEqual(shown(transcript), ['1 live We went to.|']);
  transcript.realtime(partial(1, 'we went to', ' the', 5));
  assert.deepEqual(shown(transcript), ['1 live we went to| the']);
  transcript.final(final(1, 'We went to the shop.'));
  assert.deepEqual(shown(transcript), ['1 final We went to the shop.|']);
});

test('a new session reuses ids without changing old blocks', () => {
  const transcript = connected();
  transcript.final(final(1, 'Before.'));
  transcript.realtime(partial(2, 'cut', ' off'));
  transcript.disconnected();
  transcript.connected(2.5);
  transcript.realtime(partial(1, '', 'after'));
  transcript.final(final(1, 'After.'));
  transcript.final(final(2, 'Again.'));
  assert.deepEqual(shown(transcript), ['1 final Before.|', '2 lost cut| off', '-- 2.5', '1 final After.|', '2 final Again.|']);
});

test('several failed connections give one break with the total lost audio', () => {
  const transcript = connected();
  transcript.final(final(1, 'Before.'));
  transcript.connected(1);
  transcript.connected(2);
  assert.deepEqual(shown(transcript), ['1 final Before.|', '-- 3']);
});

test('events before a clear stay away, also with several clears pending', () => {
  const transcript = connected();
  transcript.realtime(partial(1, 'old'));
  transcript.clear(true);
  transcript.clear(true);
  assert.equal(transcript.isEmpty, true);
  transcript.cleared();
  assert.equal(transcript.final(final(1, 'Old.')), false);
  transcript.realtime(partial(1, 'old'));
  assert.equal(transcript.isEmpty, true);
  transcript.cleared();
  transcript.realtime(partial(3, 'new'));
  assert.deepEqual(shown(transcript), ['3 live new|']);
});

test('a clear without a confirmation does not block later events', () => {
  const transcript = connected();
  transcript.clear(true);
  transcript.disconnected();
  transcript.clear(false);
  transcript.connected(0);
  assert.equal(transcript.final(final(1, 'Heard.')), true);
});

test('an empty segment is removed, and a failed one is marked', () => {
  const transcript = connected();
  transcript.realtime(partial(1, '', 'hm'));
  transcript.closed({ type: 'closed', segmentId: 1, reason: 'empty' });
  assert.equal(transcript.isEmpty, true);
  transcript.realtime(partial(2, 'precious', ' words'));
  transcript.closed({ type: 'closed', segmentId: 2, reason: 'repetition' });
  assert.deepEqual(shown(transcript), ['2 lost precious| words']);
});

test('times come from words and timeline events and are merged', () => {
  const transcript = connected();
  transcript.realtime({ ...partial(1, 'one'), segment: { recordingStartedAt: 5, preRollSeconds: 0.5 } });
  transcript.timesReceived({ type: 'timeline', event: 'recording_ended', segmentId: 1, segment: { recordingEndedAt: 8 } });
  transcript.timesReceived({ type: 'timeline', event: 'recording_started', segmentId: 2, segment: { recordingStartedAt: 9 } });
  transcript.timesReceived({ type: 'timeline', event: 'wakeword_wait_started', segmentId: null, segment: {} });
  assert.deepEqual(shown(transcript), ['1 live one|'], 'times alone make no block');
  transcript.final({ ...final(1, 'One.'), segment: { audioEndSeconds: 3 } });
  assert.deepEqual(transcript.entries[0].times, {
    recordingStartedAt: 5, preRollSeconds: 0.5, recordingEndedAt: 8, audioEndSeconds: 3,
  });
});

test('a lost block has its reason', () => {
  const transcript = connected();
  ['failed', 'repetition', 'new'].forEach((reason, i) => {
    transcript.realtime(partial(i + 1, 'words'));
    transcript.closed({ type: 'closed', segmentId: i + 1, reason });
  });
  transcript.realtime(partial(4, 'words'));
  transcript.disconnected();
  assert.deepEqual(transcript.entries.map(({ loss }) => loss), ['failed', 'repetition', 'unknown', 'disconnected']);
});

test('a final marks earlier live blocks as lost, not later ones', () => {
  const transcript = connected();
  transcript.realtime(partial(1, 'given up'));
  transcript.realtime(partial(3, 'going on'));
  transcript.final(final(2, 'Done.'));
  assert.deepEqual(shown(transcript), ['1 lost given up|', '2 final Done.|', '3 live going on|']);
});

test('the first words of a new session replace the words whose audio it gets again', () => {
  const transcript = connected();
  transcript.final(final(1, 'One.'));
  transcript.realtime(partial(2, 'two'));
  transcript.realtime(partial(3, 'three'));
  transcript.disconnected();
  transcript.connected(0, 3);
  transcript.disconnected();
  transcript.connected(0, 1); // again, without a word in between
  assert.deepEqual(shown(transcript), ['1 final One.|', '2 lost two|', '3 lost three|', '-- 0']);
  transcript.realtime(partial(1, 'three and'));
  assert.deepEqual(shown(transcript), ['1 final One.|', '2 lost two|', '-- 0', '1 live three and|']);
});

test('a restored transcript stands before the words there are, and loses nothing to the server’s answer', () => {
  const transcript = connected();
  transcript.final(final(1, 'One.'));
  transcript.realtime(partial(2, 'two'));
  const { entries } = transcript;
  transcript.clear(true);
  transcript.restore(entries);
  transcript.cleared();
  transcript.final(final(3, 'Three.'));
  assert.deepEqual(shown(transcript), ['1 final One.|', '2 lost two|', '3 final Three.|']);
});

test('a page that is opened again goes on behind a break, however often', () => {
  let transcript = connected();
  transcript.final(final(1, 'One.'));
  for (const openedAtMs of [1000, 2000]) {
    const { entries } = transcript;
    transcript = new Transcript();
    transcript.restore(entries);
    transcript.reopened(openedAtMs);
    transcript.connected(0);
  }
  transcript.final(final(1, 'Two.'));
  assert.deepEqual(shown(transcript), ['1 final One.|', '-- 0', '1 final Two.|']);
  assert.equal(transcript.entries[1].openedAtMs, 2000);
});

test('copied text has one line per block, in order', () => {
  const transcript = connected();
  transcript.final(final(1, 'One.'));
  transcript.connected(1);
  transcript.realtime(partial(1, 'two', ' three'));
  assert.equal(transcript.text, 'One.\ntwo three');
});

/** A seeded linear congruential generator (Knuth's MMIX constants), so that a failure is reproducible. */
function generator(seed) {
  let state = BigInt(seed);
  return (below) => {
    state = BigInt.asUintN(64, state * 6364136223846793005n + 1442695040888963407n);
    return Number((state >> 33n) % BigInt(below));
  };
}

/** The list of a view that gets only the changes. */
function applied(list, change) {
  if (change.type === 'reset') return [];
  if (change.type === 'remove') return list.filter(({ key }) => key !== change.key);
  const { entry, beforeKey } = change;
  if (list.some(({ key }) => key === entry.key)) return list.map((each) => (each.key === entry.key ? entry : each));
  const before = list.findIndex(({ key }) => key === beforeKey);
  return before < 0 ? [...list, entry] : list.toSpliced(before, 0, entry);
}

test('in any order of events, finals stay, ids ascend within a session, and the changes give the whole list', () => {
  for (let seed = 0; seed < 300; seed += 1) {
    const next = generator(seed);
    let seen = [];
    const transcript = connected((change) => {
      seen = applied(seen, change);
    });
    const isOpen = (id) => {
      const current = transcript.entries.slice(transcript.entries.findLastIndex(({ kind }) => kind === 'break') + 1);
      return !current.some((entry) => entry.segmentId === id && entry.phase === 'final');
    };
    for (let step = 0; step < 60; step += 1) {
      const where = `seed ${seed}, step ${step}`;
      const id = 1 + next(5);
      const finals = transcript.entries.filter(({ phase }) => phase === 'final');
      const events = [
        () => transcript.realtime(partial(id, `s${step}`, '', next(9))),
        () => transcript.realtime(partial(id, '', `u${step}`, next(9))),
        () => isOpen(id) && transcript.final(final(id, `f${step}`)),
        () => transcript.closed({ type: 'closed', segmentId: id, reason: next(2) ? 'empty' : 'failed' }),
        () => transcript.disconnected(),
        () => transcript.connected(1),
      ];
      const clears = [() => transcript.clear(true), () => transcript.cleared()];
      const isClear = next(20) === 0;
      (isClear ? clears[next(2)] : events[next(events.length)])();
      const { entries } = transcript;
      assert.deepEqual(seen, entries, where);
      if (!isClear) for (const entry of finals) assert.ok(entries.includes(entry), where);
      entries.reduce((previous, entry) => {
        if (entry.kind === 'break') return 0;
        assert.ok(entry.segmentId > previous, where);
        return entry.segmentId;
      }, 0);
    }
  }
});

test('a transcript of before that comes late stands before the words of now', () => {
  const earlier = new Transcript();
  earlier.connected(0);
  earlier.final({ segmentId: 1, text: 'Before.', segment: {} });
  const now = new Transcript();
  now.numberApart(1_900_000_000_000);
  now.connected(0);
  now.final({ segmentId: 1, text: 'Now.', segment: {} });
  now.restoreLate(earlier.entries, 1_900_000_000_000);
  now.final({ segmentId: 2, text: 'After.', segment: {} });
  assert.equal(now.text, 'Before.\nNow.\nAfter.');
  assert.deepEqual(now.entries.map(({ kind }) => kind), ['block', 'break', 'block', 'block']);
});
