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
const TITLES = { server: 'Server', engines: 'Engines', speech: 'Speech', wake: 'Wake words' };

/** @type {Record<RuntimeClass, string>} when a change takes effect */
export const EFFECTIVE = { activeSessionSafe: 'at once', newSessionOnly: 'new sessions', startupOnly: 'restart' };

/** @type {Record<string, string>} parts of setting names with a spelling of their own */
const SPELLINGS = { vad: 'VAD', gpu: 'GPU', webrtc: 'WebRTC', silero: 'Silero', openwakeword: 'openWakeWord', ms: '(ms)', s: '(s)' };

/**
 * @param {string} name such as `max_sessions`
 * @returns {string} such as `Max sessions`
 */
export function labelOf(name) {
  const label = name
    .split('_')
    .map((word) => SPELLINGS[word] ?? word)
    .join(' ');
  return label.startsWith('open') ? label : label[0].toUpperCase() + label.slice(1);
}

const CLASSES = Object.keys(EFFECTIVE);

/**
 * @param {Config} config
 * @returns {Group[]} in the server's order; within each, settings that change at once come first
 */
export function groupsOf({ settings, schema }) {
  /** @type {Map<string, Group>} */
  const groups = new Map();
  for (const [name, each] of Object.entries(schema)) {
    const title = TITLES[each.group] ?? labelOf(each.group);
    const group = groups.get(each.group) ?? { name: each.group, title, settings: [] };
    group.settings.push({ name, label: labelOf(name), schema: each, value: settings[name] });
    groups.set(each.group, group);
  }
  const rank = (/** @type {Setting} */ { schema: { runtimeClass } }) => CLASSES.indexOf(runtimeClass);
  groups.forEach((group) => group.settings.sort((one, other) => rank(one) - rank(other)));
  return [...groups.values()];
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

/**
 * @param {SettingSchema} schema
 * @returns {string} such as `0 to 3 · default 2`
 */
export function rangeOf(schema) {
  const { type, minimum, maximum, exclusiveMinimum } = schema;
  const parts = [];
  if (minimum !== null && maximum !== null) {
    parts.push(`${exclusiveMinimum ? 'above ' : ''}${minimum} to ${maximum}${type === 'numbers' ? ' each' : ''}`);
  }
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
  const text = `${name} ${label} ${schema.help} ${schema.flag}`.toLowerCase();
  return query.toLowerCase().split(/\s+/).every((word) => text.includes(word));
}
