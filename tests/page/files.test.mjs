import assert from 'node:assert/strict';
import { test } from 'node:test';

import { FileQueue } from '../../web/files/file-queue.js';
import { EventReader, UploadError } from '../../web/files/upload.js';
import { asText, subtitleSegments } from '../../web/transcript/export.js';
import { Transcript } from '../../web/transcript/transcript.js';

const settled = () => new Promise((resolve) => setImmediate(resolve));

/** A queue whose uploads the test answers. */
function makeQueue() {
  const [uploads, texts, done, unsupported] = [[], [], [], []];
  let states = [];
  const queue = new FileQueue({
    upload: (file, handlers, signal) =>
      new Promise((resolve, reject) => {
        uploads.push({ file, handlers, resolve, reject });
        signal.addEventListener('abort', () => resolve());
      }),
    onChange: (files) => {
      states = files.map(({ name, phase, progress, message }) => [name, phase, progress, message]);
    },
    onFile: (name) => ({ add: (spoken) => texts.push(`${name}: ${spoken.text}`), remove: () => texts.splice(0) }),
    onUnsupported: (file) => unsupported.push(file.name),
    onDone: (name) => done.push(name),
  });
  return { queue, uploads, texts, done, unsupported, states: () => states };
}

test('files are sent one after the other, with their progress', async () => {
  const { queue, uploads, texts, done, states } = makeQueue();
  queue.add([{ name: 'a' }, { name: 'b' }]);
  uploads[0].handlers.onSent(0.5);
  assert.deepEqual(states(), [['a', 'sending', 0.5, ''], ['b', 'waiting', null, '']]);
  uploads[0].handlers.onSent(1);
  assert.deepEqual(states()[0], ['a', 'transcribing', null, '']);
  uploads[0].handlers.onText({ text: 'One.', startS: 0, endS: 3 }, 12);
  assert.deepEqual(states()[0], ['a', 'transcribing', 0.25, '']);
  uploads[0].handlers.onText({ text: 'Two.', startS: 4, endS: 14 }, 12);
  assert.deepEqual([states()[0][2], texts], [1, ['a: One.', 'a: Two.']]);
  uploads[0].resolve();
  await settled();
  assert.deepEqual([states(), done, uploads.length], [[['b', 'sending', 0, '']], ['a'], 2]);
});

test('a file that fails says why, and the next one is sent; one that is removed is not', async () => {
  const { queue, uploads, done, unsupported, states } = makeQueue();
  queue.add(['silent', 'broken', 'large', 'removed', 'good'].map((name) => ({ name })));
  uploads[0].resolve();
  await settled();
  uploads[1].reject(new UploadError('file: no sound', 400));
  await settled();
  uploads[2].reject(new UploadError('the body is larger than 10 bytes', 413));
  await settled();
  queue.remove(4);
  await settled();
  uploads[4].handlers.onText({ text: 'One.', startS: 0, endS: 3 }, null);
  uploads[4].resolve();
  await settled();
  assert.deepEqual(states().map(([name, , , message]) => `${name}: ${message}`), [
    'silent: No speech was found in this file.', 'broken: file: no sound',
  ]);
  assert.deepEqual([done, unsupported], [['good'], ['large']]);
});

test('a file above the limit is not sent; one whose connection was lost can be sent again, without its incomplete text', async () => {
  const { queue, uploads, texts, done, unsupported, states } = makeQueue();
  queue.maxBytes = 10_000;
  queue.add([{ name: 'large', size: 9000 }, { name: 'lost', size: 10 }]);
  await settled();
  assert.deepEqual([unsupported, uploads.length], [['large'], 1]);
  uploads[0].handlers.onText({ text: 'One.', startS: 0, endS: 3 }, null);
  uploads[0].reject(new UploadError('The connection to the server was lost.', 0));
  await settled();
  assert.deepEqual([states()[0][1], texts], ['failed', ['lost: One.']]);
  queue.retry(2);
  assert.deepEqual([states()[0].slice(1), texts], [['sending', 0, ''], []]);
  uploads[1].handlers.onText({ text: 'One.', startS: 0, endS: 3 }, null);
  uploads[1].resolve();
  await settled();
  assert.deepEqual([done, texts], [['lost'], ['lost: One.']]);
});

test('utterances of a channel have its speaker in texts and subtitles', () => {
  const transcript = new Transcript();
  const number = transcript.fileStarted('call.wav');
  transcript.fileText(number, { text: 'Hello.', startS: 0, endS: 1, channel: 1 });
  transcript.fileText(number, { text: 'Yes?', startS: 2, endS: 3, channel: 2, pieces: [{ text: 'Yes?', startSeconds: 2, endSeconds: 3 }] });
  assert.equal(transcript.text, 'Speaker 1: Hello.\nSpeaker 2: Yes?');
  assert.equal(asText(transcript.entries), 'call.wav\nSpeaker 1: Hello.\nSpeaker 2: Yes?\n');
  assert.deepEqual(subtitleSegments(transcript.entries)[1], {
    text: 'Yes?', startSeconds: 2, endSeconds: 3, channel: 2, pieces: [{ text: 'Yes?', startSeconds: 2, endSeconds: 3 }],
  });
});

test('the incomplete text of a file is removed with its heading', () => {
  const transcript = new Transcript();
  transcript.connected(0);
  const number = transcript.fileStarted('a.m4a');
  transcript.fileText(number, { text: 'One.', startS: 1, endS: 3 });
  transcript.fileStarted('b.m4a');
  transcript.removeFile(number);
  assert.deepEqual(transcript.entries.map((entry) => entry.file), ['b.m4a']);
});

test('events are read however they are cut', () => {
  const whole = ': \n\ndata: {"type":"a"}\n\ndata: {"type":"b","delta":"x\\n\\ny"}\n\n';
  const reader = new EventReader();
  const read = [];
  for (let end = 0; end <= whole.length; end += 1) read.push(...reader.next(whole.slice(0, end)));
  assert.deepEqual(read, [{ type: 'a' }, { type: 'b', delta: 'x\n\ny' }]);
});

test('the text of a file has a heading, and its subtitles follow those of the file before', () => {
  const transcript = new Transcript();
  transcript.connected(0);
  for (const name of ['a.m4a', 'b.webm']) {
    const number = transcript.fileStarted(name);
    transcript.fileText(number, { text: 'One.', startS: 1, endS: 3 });
    transcript.fileText(number, { text: 'Two.', startS: 4, endS: 6 });
  }
  assert.deepEqual(transcript.entries.map((entry) => entry.file ?? entry.stable), ['a.m4a', 'One.', 'Two.', 'b.webm', 'One.', 'Two.']);
  const segments = subtitleSegments(transcript.entries);
  assert.deepEqual(segments.map(({ startSeconds, endSeconds }) => [startSeconds, endSeconds]), [[1, 3], [4, 6], [7, 9], [10, 12]]);
  assert.equal(new Set(transcript.entries.map(({ key }) => key)).size, 6);
});
