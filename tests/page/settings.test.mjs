import assert from 'node:assert/strict';
import { test } from 'node:test';

import { groupsOf, isSame, labelOf, matches, rangeOf, textOf, valueOf } from '../../web/settings/settings-model.js';

const schema = (changes = {}) => ({
  runtimeClass: 'newSessionOnly',
  group: 'speech',
  type: 'number',
  nullable: false,
  minimum: 0,
  exclusiveMinimum: false,
  maximum: 60,
  maxLength: null,
  choices: [],
  default: 0.5,
  help: 'Seconds of silence.',
  flag: '--a-setting',
  environment: 'TRIO_STT_A_SETTING',
  ...changes,
});
const setting = (name, value, changes) => ({ name, label: labelOf(name), value, schema: schema(changes) });

test('names become labels', () => {
  assert.equal(labelOf('max_sessions'), 'Max sessions');
  assert.equal(labelOf('vad_energy_threshold'), 'VAD energy threshold');
  assert.equal(labelOf('max_realtime_queue_age_ms'), 'Max realtime queue age (ms)');
  assert.equal(labelOf('openwakeword_model_paths'), 'openWakeWord model paths');
});

test('settings are grouped, those that change at once first', () => {
  const groups = groupsOf({
    settings: { port: 8010, max_sessions: 4, wake_words: '', log_level: 'INFO' },
    schema: {
      port: schema({ group: 'server', runtimeClass: 'startupOnly' }),
      max_sessions: schema({ group: 'server', runtimeClass: 'activeSessionSafe' }),
      wake_words: schema({ group: 'wake' }),
      log_level: schema({ group: 'server', runtimeClass: 'activeSessionSafe' }),
    },
  });
  assert.deepEqual(
    groups.map(({ title, settings }) => [title, settings.map(({ name }) => name)]),
    [
      ['Server', ['max_sessions', 'log_level', 'port']],
      ['Wake words', ['wake_words']],
    ],
  );
  assert.equal(groups[0].settings[0].value, 4);
});

test('an unknown group gets a title from its name', () => {
  assert.equal(groupsOf({ settings: { a: 1 }, schema: { a: schema({ group: 'far_future' }) } })[0].title, 'Far future');
});

for (const [type, changes, text, value] of [
  ['number', {}, ' 0.25 ', 0.25],
  ['number', {}, '1e3', 1000],
  ['integer', {}, '7', 7],
  ['numbers', {}, '0.05, 0.2', [0.05, 0.2]],
  ['numbers', {}, ' ', []],
  ['text', {}, ' as it is ', ' as it is '],
  ['text', { choices: ['cpu'] }, ' cpu ', 'cpu'],
  ['text', { nullable: true }, '  ', null],
  ['boolean', {}, true, true],
]) {
  test(`${type} ${JSON.stringify(text)} is sent as ${JSON.stringify(value)}`, () => {
    assert.deepEqual(valueOf(schema({ type, ...changes }), text), value);
  });
}

test('what is not a number is sent unchanged', () => {
  assert.equal(valueOf(schema(), 'many'), 'many');
  assert.equal(valueOf(schema(), ''), '');
  assert.equal(valueOf(schema(), 'Infinity'), 'Infinity');
  assert.deepEqual(valueOf(schema({ type: 'numbers' }), '0.1,x,'), [0.1, 'x', '']);
});

test('an unedited value converts back to itself', () => {
  for (const [type, value, changes] of [
    ['number', 0.55, {}],
    ['integer', 32, {}],
    ['numbers', [0.05, 0.2], {}],
    ['numbers', [], {}],
    ['text', 'en', {}],
    ['text', '', {}],
    ['text', null, { nullable: true }],
  ]) {
    assert.ok(isSame(valueOf(schema({ type, ...changes }), textOf(value)), value), `${type} ${value}`);
  }
});

test('ranges and defaults become text', () => {
  assert.equal(rangeOf(schema()), '0 to 60 · default 0.5');
  assert.equal(rangeOf(schema({ exclusiveMinimum: true })), 'above 0 to 60 · default 0.5');
  assert.equal(rangeOf(schema({ type: 'numbers', default: [0.05, 0.2] })), '0 to 60 each · default 0.05, 0.2');
  assert.equal(rangeOf(schema({ type: 'boolean', minimum: null, maximum: null, default: true })), 'default on');
  assert.equal(rangeOf(schema({ type: 'text', minimum: null, maximum: null, default: null })), 'default empty');
});

test('search needs every word, in name, label, help or flag', () => {
  const each = setting('post_speech_silence_duration', 0.5);
  for (const query of ['', 'silence', 'SPEECH post', 'seconds', '--a-set']) assert.equal(matches(each, query, 'all'), true, query);
  assert.equal(matches(each, 'silence wake', 'all'), false);
});

test('filters select by class, or by not being at the default', () => {
  assert.equal(matches(setting('a', 0.5), '', 'newSessionOnly'), true);
  assert.equal(matches(setting('a', 0.5), '', 'startupOnly'), false);
  assert.equal(matches(setting('a', 0.5), '', 'changed'), false);
  assert.equal(matches(setting('a', 0.6), '', 'changed'), true);
});
