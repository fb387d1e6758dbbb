import assert from 'node:assert/strict';
import { test } from 'node:test';

import { groupsOf, isSame, matches, problemOf, rangeOf, textOf, valueOf } from '../../web/settings/settings-model.js';

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
  label: 'Pause',
  unit: 's',
  help: 'Seconds of silence.',
  flag: '--a-setting',
  environment: 'TRIO_STT_A_SETTING',
  ...changes,
});
const setting = (name, value, changes) => ({ name, label: 'Pause', value, schema: schema(changes) });

test('settings are grouped, what talkers want first, then those that change at once', () => {
  const groups = groupsOf({
    settings: { port: 8010, max_sessions: 4, wake_words: '', log_level: 'INFO' },
    schema: {
      port: schema({ group: 'server', runtimeClass: 'startupOnly' }),
      max_sessions: schema({ group: 'server', runtimeClass: 'activeSessionSafe' }),
      wake_words: schema({ group: 'wake' }),
      wake_word_timeout: schema({ group: 'wake' }),
      language: schema({ group: 'engines', runtimeClass: 'startupOnly' }),
      log_level: schema({ group: 'server', runtimeClass: 'activeSessionSafe' }),
    },
  });
  assert.deepEqual(
    groups.map(({ title, settings }) => [title, settings.map(({ name }) => name)]),
    [
      ['For talking', ['language', 'wake_words']],
      ['Server', ['max_sessions', 'log_level', 'port']],
      ['Wake words', ['wake_word_timeout']],
    ],
  );
  assert.equal(groups[1].settings[0].value, 4);
});

test('an unknown group has its name as title', () => {
  assert.equal(groupsOf({ settings: { a: 1 }, schema: { a: schema({ group: 'far_future' }) } })[0].title, 'far_future');
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

for (const [changes, value, problem] of [
  [{}, 60, ''],
  [{}, 60.1, 'A number: 0 to 60.'],
  [{}, 'many', 'A number: 0 to 60.'],
  [{ exclusiveMinimum: true }, 0, 'A number: above 0 to 60.'],
  [{ type: 'integer' }, 1.5, 'A whole number: 0 to 60.'],
  [{ type: 'integer', minimum: null, maximum: null }, '', 'A whole number.'],
  [{ type: 'numbers' }, [0, 61], 'Numbers, separated by commas: 0 to 60 each.'],
  [{ type: 'numbers' }, [], ''],
  [{ type: 'text', maxLength: 3 }, 'long', 'At most 3 characters.'],
  [{ nullable: true }, null, ''],
  [{ type: 'boolean' }, true, ''],
]) {
  test(`${JSON.stringify(value)} for ${JSON.stringify(changes)} is marked: ${problem}`, () => {
    assert.equal(problemOf(schema(changes), value), problem);
  });
}

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
