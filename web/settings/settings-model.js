/**
 * The settings as people read and write them: names, groups, ranges, and the way between a field's text and JSON.
 * It must not touch the DOM or the server, nor judge values: the server does.
 */

/** @import { Config, SettingSchema } from '../connection/http-api.js' */

/**
 * @typedef {'activeSessionSafe' | 'newSessionOnly' | 'startupOnly'} RuntimeClass
 * @typedef {'all' | 'changed' | RuntimeClass} Filter `changed`: other than its default
 *
 * @typedef {object} Setting
 * @property {string} name
 * @property {string} label
 * @property {SettingSchema} schema
 * @property {unknown} value in force
 *
 * @typedef {{name: string, title: string, settings: Setting[]}} Group
 */

/** @type {Record<string, string>} */
const TITLES = { server: 'Server', engines: 'Engines', speech: 'Speech', wake: 'Wake words' };

/** @type {Record<RuntimeClass, string>} */
export const WHEN = { activeSessionSafe: 'at once', newSessionOnly: 'new sessions', startupOnly: 'restart' };

/** @type {Record<string, string>} words of names that are written otherwise */
const WORDS = { vad: 'VAD', gpu: 'GPU', webrtc: 'WebRTC', silero: 'Silero', openwakeword: 'openWakeWord', ms: '(ms)', s: '(s)' };

/**
 * @param {string} name such as `max_sessions`
 * @returns {string} such as `Max sessions`
 */
export function labelOf(name) {
  const label = name
    .split('_')
    .map((word) => WORDS[word] ?? word)
    .join(' ');
  return label.startsWith('open') ? label : label[0].toUpperCase() + label.slice(1);
}

const CLASSES = Object.keys(WHEN);

/**
 * @param {Config} config
 * @returns {Group[]} in the server's order; in each, what can be changed comes first
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
 * @param {unknown} value as JSON has it
 * @returns {string} as a field has it
 */
export const textOf = (value) => (Array.isArray(value) ? value.join(', ') : String(value ?? ''));

/**
 * What cannot be read as the type is sent as it was written, so that the server says what is wrong with it.
 *
 * @param {SettingSchema} schema
 * @param {string | boolean} written a switch gives a boolean
 * @returns {unknown} as JSON has it
 */
export function valueOf(schema, written) {
  if (typeof written === 'boolean') return written;
  const trimmed = written.trim();
  if (schema.nullable && !trimmed) return null;
  if (schema.type === 'numbers') return trimmed ? trimmed.split(',').map(numberOr) : [];
  if (schema.type === 'integer' || schema.type === 'number') return numberOr(trimmed);
  return schema.choices.length > 0 ? trimmed : written;
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
