import assert from 'node:assert/strict';
import { test } from 'node:test';

import { connectionChip, linkMessage, secondsLabel, serverErrorMessage, stateChip, warningMessage } from '../../web/messages.js';

const link = (change) => ({ phase: 'open', full: false, failures: 0, retryAtMs: 0, ...change });

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
  assert.equal(linkMessage(link({ phase: 'waiting', failures: 1 })).canRetry, true);
});

test('a state of a newer server is shown as it is', () => {
  assert.equal(stateChip('recording').label, 'Hearing you');
  assert.equal(stateChip('deep_thought').label, 'deep thought');
  assert.equal(stateChip('toString').label, 'toString');
});

test('seconds are precise while they are few', () => {
  assert.deepEqual([0.04, 0.36, 9.94, 9.96, 12.4].map(secondsLabel), ['0.1 s', '0.4 s', '9.9 s', '10 s', '12 s']);
});
