import assert from 'node:assert/strict';
import { test } from 'node:test';

import { captionStyle } from '../../web/captions/caption-style.js';
import { CaptionText } from '../../web/captions/caption-text.js';

const styleOf = (query) => captionStyle(new URLSearchParams(query), (colour) => ['red', 'transparent', '#0008'].includes(colour));

test('the address sets the look, and values that are not valid have no effect', () => {
  const style = styleOf('lines=2&size=5.5&position=top&align=left&color=red&background=transparent&hold=0&start=1');
  assert.deepEqual(style, {
    variables: { '--lines': '2', '--size': '5.5', '--place': 'start', '--align': 'left', '--ink': 'red', '--paper': 'transparent' },
    isTransparent: true,
    holdS: 0,
    startsTalking: true,
  });
  const defaults = { variables: {}, isTransparent: false, holdS: 8, startsTalking: false };
  assert.deepEqual(styleOf('lines=99&size=x&position=toString&align=url(x)&color=red;x&hold=-1&start=yes&lines='), defaults);
});

test('captions are the newest finals and the live words, and stay short', () => {
  let shown;
  const captions = new CaptionText((caption) => (shown = caption));
  captions.realtime({ segmentId: 1, stableText: 'one', unstableText: ' two' });
  captions.realtime({ segmentId: 2, stableText: '', unstableText: 'three' });
  assert.deepEqual(shown, { settled: '', live: 'one two three' });
  captions.final({ segmentId: 1, text: 'One two.' });
  captions.closed({ segmentId: 2 });
  assert.deepEqual(shown, { settled: 'One two.', live: '' });
  for (let number = 0; number < 100; number += 1) captions.final({ segmentId: number, text: `Sentence ${number} of a long talk.` });
  assert.ok(shown.settled.length <= 800 && shown.settled.endsWith('Sentence 99 of a long talk.'));
  captions.clear();
  assert.deepEqual(shown, { settled: '', live: '' });
});
