import assert from 'node:assert/strict';
import { test } from 'node:test';

import {
  closedReason, connectionChip, bufferingChip, connectionMessage, languageName, modelName, serverErrorMessage, sessionChip, stateChip,
  warningMessage, welcomeTexts,
} from '../../web/shared/messages.js';
import { secondsLabel } from '../../web/shared/format.js';
import { isForeign } from '../../web/running-model.js';

const connection = (change) => ({ phase: 'open', isFull: false, rejection: '', failures: 0, retryAtMs: 0, graceS: 0, ...change });

test('every kind of server error is a sentence with the server’s message', () => {
  const kinds = ['admission', 'audio_packet', 'audio', 'command', 'recorder', 'main_engine', 'realtime_engine', 'newer', 'constructor'];
  for (const where of kinds) {
    const { text } = serverErrorMessage({ type: 'error', where, message: 'frames disagrees with the payload. ' });
    assert.match(text, /^[A-Z][^.]*: frames disagrees with the payload\.$/, where);
  }
  assert.match(serverErrorMessage({ type: 'error', where: 'audio', message: ' ' }).text, /^The server[^:]*\.$/);
});

test('a warning ends with exactly one full stop', () => {
  assert.equal(warningMessage('Recording cut').text, 'Recording cut.');
  assert.equal(warningMessage('Recording cut.').text, 'Recording cut.');
});

test('the server’s warnings are reworded with their numbers', () => {
  const texts = [
    ['12 windows of 32 ms of audio were dropped: the server does not keep up.', /12 pieces/],
    ['An utterance was ignored: the active speaker limit of 3 is reached.', /transcribes 3 speakers at a time/],
    ['Maximum per-session audio buffer reached: the utterance was cut at 30 s.', /spoke for 30 s/],
    ['Final transcription backlog: 4 utterances wait, none is lost; the lane is full', /4 utterances wait/],
    ['No audio came for 2.5 s: the utterance was ended.', /for 2\.5 s/],
    [
      'The utterance was ended while you were disconnected: another session needed its place (max_active_speakers).',
      /another speaker needed your place/,
    ],
    ['Partials come less often for a while: the server does not keep up.', /words appear less often/],
    ['The server shuts down: what was said so far is still written, more is not heard.', /so far is still transcribed/],
    ['Audio was ignored: send the start command first.', /Press Talk/],
  ];
  for (const [message, meaning] of texts) {
    const { level, text } = warningMessage(message);
    assert.equal(level, 'warning');
    assert.match(text, meaning);
    assert.match(text, /^[A-Z][^$]*[^.]\.$/);
  }
});

test('an unknown reason is shown unchanged', () => {
  assert.match(closedReason('no_speech'), /noise/);
  assert.equal(closedReason('too_loud'), 'too loud');
  assert.equal(closedReason('constructor'), 'constructor');
});

test('the state chip names the wake words', () => {
  assert.equal(stateChip('wakeword_wait').label, 'Waiting for the wake word');
  assert.equal(stateChip('wakeword_wait', 'hey jarvis').label, 'Waiting for “hey jarvis”');
  assert.equal(stateChip('wakeword_wait', 'alexa, hey jarvis,').label, 'Waiting for “alexa” or “hey jarvis”');
});

test('the connection chip shows the worst state', () => {
  assert.equal(connectionChip(connection({}), 'ready').label, 'Ready');
  assert.equal(connectionChip(connection({}), 'loading').label, 'Loading model');
  assert.equal(connectionChip(connection({}), 'failed').label, 'Engine failed');
  assert.equal(connectionChip(connection({ phase: 'connecting' }), 'loading').label, 'Connecting');
  assert.equal(connectionChip(connection({ phase: 'connecting', failures: 2 }), 'loading').label, 'Reconnecting');
  assert.equal(connectionChip(connection({ phase: 'waiting', failures: 2, isFull: true }), 'loading').label, 'Server full');
});

test('an open connection has no message', () => {
  assert.equal(connectionMessage(connection({})), null);
  assert.equal(connectionMessage(connection({ phase: 'connecting' })), null);
  assert.equal(connectionMessage(connection({ phase: 'waiting', failures: 1 })).action, 'Try now');
});

test('an unknown state is shown unchanged', () => {
  assert.equal(stateChip('recording').label, 'Hearing you');
  assert.equal(stateChip('deep_thought').label, 'deep thought');
  assert.equal(stateChip('toString').label, 'toString');
});

test('seconds under ten have one decimal', () => {
  assert.deepEqual([0.04, 0.36, 9.94, 9.96, 12.4].map(secondsLabel), ['0.1 s', '0.4 s', '9.9 s', '10 s', '12 s']);
});

test('buffered audio is reported while talking without a connection', () => {
  const lost = connection({ phase: 'waiting', failures: 2, graceS: 10 });
  assert.equal(bufferingChip(lost, true).label, 'Not connected: the last 10 s are kept');
  for (const quiet of [bufferingChip(lost, false), bufferingChip({ ...lost, phase: 'open' }, true), bufferingChip({ ...lost, graceS: 0 }, true)]) {
    assert.equal(quiet.label, '');
  }
  assert.match(connectionMessage(lost, true).text, /The last 10 s of your audio are kept/);
  assert.doesNotMatch(connectionMessage(lost, false).text, /audio/);
});

test('each reason for a rejected connection has a message of its own', () => {
  const rejected = (rejection) => connectionMessage(connection({ phase: 'waiting', isFull: true, failures: 1, rejection })).text;
  assert.match(rejected('too many wrong keys from this address: max_failed_logins_per_address is 10 a minute'), /wrong keys/);
  assert.match(rejected('too many connections from this address: max_connections_per_address is 64'), /other tabs/);
  assert.match(rejected('No room: max_sessions is 4'), /^The server is full\./);
  assert.equal(connectionMessage(connection({ phase: 'locked' })).action, 'Enter the key');
  assert.equal(connectionChip(connection({ phase: 'locked' }), 'loading').label, 'Key needed');
});

test('one chip shows the connection, and what the server does only while all is well', () => {
  const ready = connectionChip(connection({}), 'ready');
  assert.equal(sessionChip(ready, 'recording', '').label, 'Hearing you');
  assert.deepEqual([sessionChip(ready, 'idle', ''), sessionChip(ready, '', '')], [ready, ready]);
  for (const model of ['failed', 'loading']) {
    const chip = connectionChip(connection({}), model);
    assert.equal(sessionChip(chip, 'recording', ''), chip);
  }
});

test('the first texts say what to say, and what happens with the sound', () => {
  const server = { language: 'en', wakeWords: '', keepsSound: false };
  assert.equal(welcomeTexts(server).title, 'Say something.');
  assert.equal(welcomeTexts({ ...server, wakeWords: 'alexa, hey jarvis' }).title, 'Say “alexa” or “hey jarvis”, then speak.');
  assert.match(welcomeTexts(server).privacy, /keeps no sound/);
  assert.match(welcomeTexts({ ...server, keepsSound: true }).privacy, /keeps a recording/);
});

test('models and languages have names', () => {
  assert.deepEqual(['en', 'pt-BR', '', 'not a code'].map(languageName), ['English', 'Brazilian Portuguese', 'Any language', 'not a code']);
  assert.deepEqual(['moonshine-tiny-en', '/models/ggml-small.bin', 'C:\\models\\base.en', ''].map(modelName), [
    'moonshine tiny en', 'ggml small', 'base.en', '',
  ]);
});

test('a language is foreign if the browser has none of its variants', () => {
  assert.equal(isForeign('en', ['de-DE', 'de']), true);
  assert.equal(isForeign('en', ['de', 'en-GB']), false);
  assert.equal(isForeign('zh-Hans', ['zh_TW']), false);
  assert.deepEqual([isForeign('', ['de']), isForeign('en', [])], [false, false]);
});
