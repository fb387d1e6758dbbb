/**
 * Settings as the panel shows them: labels, groups, ranges, and the conversion between a field's text and JSON.
 * It does not touch the DOM, contact the server, or validate values, which is the server's part.
 */

/** @import { Config, SettingSchema } from '../connection/http-api.js' */

/**
 * @typedef {'activeSessionSafe' | 'newSessionOnly' | 'startupOnly'} RuntimeClass
 * @typedef {'all' | 'changed' | RuntimeClass} Filter `changed`: not at the default
 *
 * @typedef {object} Setting
 * @property {string} name
 * @property {string} label
 * @property {SettingSchema} schema
 * @property {unknown} value the current one
 *
 * @typedef {{name: string, title: string, settings: Setting[]}} Group
 */

/** @type {Record<string, string>} */
const TITLES = { server: 'Server', access: 'Access', engines: 'Engines', speech: 'Speech', wake: 'Wake words' };

/** @type {Record<RuntimeClass, string>} when a change takes effect */
export const EFFECTIVE = { activeSessionSafe: 'at once', newSessionOnly: 'new sessions', startupOnly: 'restart' };

/** Settings that a talker looks for first. They come before all groups. */
const FOR_TALKING = ['language', 'post_speech_silence_duration', 'endpointing', 'wake_words', 'initial_prompt'];
const TALKING = { name: 'talking', title: 'For talking' };

const CLASSES = Object.keys(EFFECTIVE);

/**
 * @param {Config} config
 * @returns {Group[]} what talkers want, then the server's groups in its order; within these, settings that change at once come first
 */
export function groupsOf({ settings, schema }) {
  /** @type {Map<string, Group>} */
  const groups = new Map();
  const talking = { ...TALKING, settings: /** @type {Setting[]} */ ([]) };
  for (const [name, each] of Object.entries(schema)) {
    const setting = { name, label: each.label, schema: each, value: settings[name] };
    if (FOR_TALKING.includes(name)) {
      talking.settings.push(setting);
      continue;
    }
    const group = groups.get(each.group) ?? { name: each.group, title: TITLES[each.group] ?? each.group, settings: [] };
    group.settings.push(setting);
    groups.set(each.group, group);
  }
  const rank = (/** @type {Setting} */ { schema: { runtimeClass } }) => CLASSES.indexOf(runtimeClass);
  groups.forEach((group) => group.settings.sort((one, other) => rank(one) - rank(other)));
  talking.settings.sort((one, other) => FOR_TALKING.indexOf(one.name) - FOR_TALKING.indexOf(other.name));
  return [talking, ...groups.values()].filter((group) => group.settings.length > 0);
}

/**
 * @param {unknown} value a JSON value
 * @returns {string} the text in its field
 */
export const textOf = (value) => (Array.isArray(value) ? value.join(', ') : String(value ?? ''));

/**
 * A text that cannot be converted is sent unchanged, so that the server reports the problem.
 *
 * @param {SettingSchema} schema
 * @param {string | boolean} input a switch gives a boolean
 * @returns {unknown} a JSON value
 */
export function valueOf(schema, input) {
  if (typeof input === 'boolean') return input;
  const trimmed = input.trim();
  if (schema.nullable && !trimmed) return null;
  if (schema.type === 'numbers') return trimmed ? trimmed.split(',').map(numberOr) : [];
  if (schema.type === 'integer' || schema.type === 'number') return numberOr(trimmed);
  return schema.choices.length > 0 ? trimmed : input;
}

/**
 * @param {string} text
 * @returns {number | string}
 */
function numberOr(text) {
  const trimmed = text.trim();
  const value = Number(trimmed);
  return trimmed && Number.isFinite(value) ? value : trimmed;
}

/**
 * @param {unknown} one
 * @param {unknown} other
 */
export const isSame = (one, other) => JSON.stringify(one) === JSON.stringify(other);

/** @param {SettingSchema} schema of a number */
const boundsOf = ({ minimum, maximum, exclusiveMinimum, type }) =>
  minimum === null || maximum === null ? '' : `${exclusiveMinimum ? 'above ' : ''}${minimum} to ${maximum}${type === 'numbers' ? ' each' : ''}`;

/**
 * What is wrong with a value as it is typed. The server decides in the end.
 *
 * @param {SettingSchema} schema
 * @param {unknown} value from `valueOf`
 * @returns {string} '' for a value that is in range
 */
export function problemOf(schema, value) {
  const { type, minimum, maximum, exclusiveMinimum, maxLength } = schema;
  if (value === null || typeof value === 'boolean') return '';
  if (type === 'text') return maxLength !== null && String(value).length > maxLength ? `At most ${maxLength} characters.` : '';
  const isNumber = (/** @type {unknown} */ each) =>
    typeof each === 'number' &&
    (type !== 'integer' || Number.isInteger(each)) &&
    (minimum === null || (exclusiveMinimum ? each > minimum : each >= minimum)) &&
    (maximum === null || each <= maximum);
  if ((Array.isArray(value) ? value : [value]).every(isNumber)) return '';
  const noun = type === 'integer' ? 'A whole number' : type === 'numbers' ? 'Numbers, separated by commas' : 'A number';
  const bounds = boundsOf(schema);
  return bounds ? `${noun}: ${bounds}.` : `${noun}.`;
}

/**
 * @param {SettingSchema} schema
 * @returns {string} such as `0 to 3 · default 2`
 */
export function rangeOf(schema) {
  const parts = [boundsOf(schema)].filter(Boolean);
  const shown = typeof schema.default === 'boolean' ? (schema.default ? 'on' : 'off') : textOf(schema.default);
  parts.push(shown ? `default ${shown}` : 'default empty');
  return parts.join(' · ');
}

/**
 * @param {Setting} setting
 * @param {string} query words that must all appear
 * @param {Filter} filter
 */
export function matches({ name, label, schema, value }, query, filter) {
  if (filter === 'changed' ? isSame(value, schema.default) : filter !== 'all' && schema.runtimeClass !== filter) return false;
  const text = `${name} ${name.replaceAll('_', ' ')} ${label} ${schema.help} ${schema.flag}`.toLowerCase();
  return query.toLowerCase().split(/\s+/).every((word) => text.includes(word));
}
