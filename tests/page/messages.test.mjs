import assert from 'node:assert/strict';
import { test } from 'node:test';

import {
  closedReason, connectionChip, keptChip, linkMessage, secondsLabel, serverErrorMessage, stateChip, warningMessage,
} from '../../web/shared/messages.js';

const link = (change) => ({ phase: 'open', full: false, refusal: '', failures: 0, retryAtMs: 0, keepsS: 0, ...change });

test('every kind of server error is a sentence that keeps the server’s own words', () => {
  const kinds = ['admission', 'audio_packet', 'audio', 'command', 'recorder', 'main_engine', 'realtime_engine', 'newer', 'constructor'];
  for (const where of kinds) {
    const { text } = serverErrorMessage({ type: 'error', where, message: 'frames disagrees with the payload. ' });
    assert.match(text, /^[A-Z][^.]*: frames disagrees with the payload\.$/, where);
  }
  assert.match(serverErrorMessage({ type: 'error', where: 'audio', message: ' ' }).text, /^The server[^:]*\.$/);
});

test('a warning ends with one full stop', () => {
  assert.equal(warningMessage('Recording cut').text, 'Recording cut.');
  assert.equal(warningMessage('Recording cut.').text, 'Recording cut.');
});

test('what our server warns of is said as people mean it, with its figures', () => {
  const texts = [
    ['12 windows of 32 ms of audio were dropped: the server does not keep up.', /12 pieces/],
    ['An utterance was ignored: the active speaker limit of 3 is reached.', /hears 3 at a time/],
    ['Maximum per-session audio buffer reached: the utterance was cut at 30 s.', /spoke for 30 s/],
    ['Final transcription backlog: 4 utterances wait, none is lost; the lane is full', /4 passages wait/],
    ['No audio came for 2.5 s: the utterance was ended.', /for 2\.5 s/],
    ['Partials come less often for a while: the server does not keep up.', /words appear less often/],
    ['Audio was ignored: send the start command first.', /Press Talk/],
  ];
  for (const [message, meaning] of texts) {
    const { level, text } = warningMessage(message);
    assert.equal(level, 'warning');
    assert.match(text, meaning);
    assert.match(text, /^[A-Z][^$]*[^.]\.$/);
  }
});

test('reasons of a newer server are shown as they are', () => {
  assert.match(closedReason('no_speech'), /noise/);
  assert.equal(closedReason('too_loud'), 'too loud');
  assert.equal(closedReason('constructor'), 'constructor');
});

test('the words that are waited for are named', () => {
  assert.equal(stateChip('wakeword_wait').label, 'Waiting for the wake word');
  assert.equal(stateChip('wakeword_wait', 'hey jarvis').label, 'Waiting for “hey jarvis”');
  assert.equal(stateChip('wakeword_wait', 'alexa, hey jarvis,').label, 'Waiting for “alexa” or “hey jarvis”');
});

test('the connection chip says the worst that is true', () => {
  assert.equal(connectionChip(link({}), 'ready').label, 'Ready');
  assert.equal(connectionChip(link({}), 'loading').label, 'Loading model');
  assert.equal(connectionChip(link({}), 'failed').label, 'Engine failed');
  assert.equal(connectionChip(link({ phase: 'connecting' }), 'loading').label, 'Connecting');
  assert.equal(connectionChip(link({ phase: 'connecting', failures: 2 }), 'loading').label, 'Reconnecting');
  assert.equal(connectionChip(link({ phase: 'waiting', failures: 2, full: true }), 'loading').label, 'Server full');
});

test('nothing is said about a link that stands', () => {
  assert.equal(linkMessage(link({})), null);
  assert.equal(linkMessage(link({ phase: 'connecting' })), null);
  assert.equal(linkMessage(link({ phase: 'waiting', failures: 1 })).retry, 'Try now');
});

test('a state of a newer server is shown as it is', () => {
  assert.equal(stateChip('recording').label, 'Hearing you');
  assert.equal(stateChip('deep_thought').label, 'deep thought');
  assert.equal(stateChip('toString').label, 'toString');
});

test('seconds are precise while they are few', () => {
  assert.deepEqual([0.04, 0.36, 9.94, 9.96, 12.4].map(secondsLabel), ['0.1 s', '0.4 s', '9.9 s', '10 s', '12 s']);
});

test('what is kept is said while somebody talks into a lost connection', () => {
  const lost = link({ phase: 'waiting', failures: 2, keepsS: 10 });
  assert.equal(keptChip(lost, true).label, 'Not connected: the last 10 s are kept');
  for (const quiet of [keptChip(lost, false), keptChip({ ...lost, phase: 'open' }, true), keptChip({ ...lost, keepsS: 0 }, true)]) {
    assert.equal(quiet.label, '');
  }
  assert.match(linkMessage(lost).text, /last 10 s are kept/);
});

test('a server that lets nobody in says why, each in words of its own', () => {
  const refused = (refusal) => linkMessage(link({ phase: 'waiting', full: true, failures: 1, refusal })).text;
  assert.match(refused('too many wrong keys from this address: max_failed_logins_per_address is 10 a minute'), /wrong keys/);
  assert.match(refused('too many connections from this address: max_connections_per_address is 64'), /other tabs/);
  assert.match(refused('No room: max_sessions is 4'), /^The server is full\./);
  assert.equal(linkMessage(link({ phase: 'locked' })).retry, 'Enter the key');
  assert.equal(connectionChip(link({ phase: 'locked' }), 'loading').label, 'Key needed');
});
