import assert from 'node:assert/strict';
import { test } from 'node:test';

import { loadPreferences, savePreferences } from '../../web/shared/preferences.js';
import { mixToMono } from '../../web/audio/sources.js';

/** Browser storage for a single text. */
function storage(text = null) {
  const kept = { text, getItem: () => kept.text, setItem: (_, value) => (kept.text = value) };
  return kept;
}

test('saved preferences are loaded again', () => {
  const kept = storage();
  const chosen = { ...loadPreferences(kept), deviceId: 'usb', noiseSuppression: false, holdToTalk: true };
  savePreferences(chosen, kept);
  assert.deepEqual(loadPreferences(kept), chosen);
});

test('invalid stored values give the defaults', () => {
  const defaults = loadPreferences(storage());
  for (const text of ['', '{', 'null', '7', '[]', '"x"', '{"deviceId": 7, "holdToTalk": "yes", "echoCancellation": null}']) {
    assert.deepEqual(loadPreferences(storage(text)), defaults, text);
  }
});

test('without storage, there are default preferences', () => {
  const forbidden = () => {
    throw new Error('SecurityError');
  };
  assert.equal(loadPreferences({ getItem: forbidden }).echoCancellation, true);
  savePreferences(loadPreferences(storage()), { setItem: forbidden });
});

test('the channels of a file are averaged', () => {
  const channels = [Float32Array.of(1, 0.5, 0), Float32Array.of(0, 0.5, -1)];
  const decoded = { numberOfChannels: 2, length: 3, getChannelData: (i) => channels[i] };
  assert.deepEqual([...mixToMono(decoded)], [0.5, 0.5, -0.5]);
});
