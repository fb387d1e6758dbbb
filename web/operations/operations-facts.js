/**
 * Figures with their names and explanations: on hover, and below each figure while Explain is pressed.
 */

import { makeElement, setText } from '../shared/dom.js';

export const milliseconds = (/** @type {number} */ value) => `${value < 10 ? value.toFixed(1) : Math.round(value).toLocaleString('en')} ms`;
export const percent = (/** @type {number} */ value) => `${Math.round(value * 100)} %`;
export const count = (/** @type {number} */ value) => value.toLocaleString('en');
export const megabytes = (/** @type {number} */ bytes) => `${Math.round(bytes / 1e6).toLocaleString('en')} MB`;

/**
 * @param {number} seconds
 * @returns {string} such as `12 s`, `5 min`, `3 h 5 min` or `2 d 3 h`
 */
export function durationLabel(seconds) {
  const [days, hours, minutes] = [Math.floor(seconds / 86_400), Math.floor(seconds / 3600) % 24, Math.floor(seconds / 60) % 60];
  if (days > 0) return `${days} d ${hours} h`;
  if (hours > 0) return `${hours} h ${minutes} min`;
  return minutes > 0 ? `${minutes} min` : `${Math.floor(seconds)} s`;
}

/** @type {Record<string, string>} what each figure means */
const HELP = {
  Sessions: 'Connected clients, and those that may still resume.',
  'Talking now': 'Sessions with a running utterance.',
  'Refused clients': 'Clients that got no session, since the start, by reason.',
  'Up for': 'Time since the server started.',
  Version: 'Version of the server.',
  Completed: 'Jobs that the engine has finished. A job is one final or one partial text.',
  Failed: 'Jobs that ended with an error of the engine.',
  Replaced: 'Partials in the queue that a newer one of the same session replaced.',
  'Too old': 'Partials that waited too long in the queue and were dropped.',
  Rejected: 'Jobs that found the queue full.',
  'Busy since start': 'Share of the time in which an engine worked.',
  'Queue delay p95': '95 of 100 jobs wait at most this long for an engine.',
  'Engine p95': '95 of 100 jobs take the engine at most this long.',
  Workers: 'Engines that are serving, of those that the lane should have.',
  Restarts: 'Engines that crashed or hung and were replaced.',
};

/**
 * @param {string} text
 * @returns {HTMLElement} shown while Explain is pressed
 */
export const explanation = (text) => makeElement('span', 'explanation', text);

/**
 * Draw figures. Their elements are kept while the names stay, so that an explanation on hover stays, too.
 *
 * @param {HTMLElement} list a `dl`
 * @param {Record<string, string>} facts
 * @param {string} [className] of each
 */
export function drawFacts(list, facts, className = '') {
  const names = Object.keys(facts);
  const isKnown = names.length === list.childElementCount && names.every((name, i) => list.children[i].querySelector('dt')?.dataset.name === name);
  if (!isKnown) list.replaceChildren(...names.map((name) => makeFact(name, className)));
  names.forEach((name, i) => setText(/** @type {HTMLElement} */ (list.children[i].querySelector('dd')), facts[name]));
}

/**
 * @param {string} name
 * @param {string} className
 */
function makeFact(name, className) {
  const term = makeElement('dt', '', name);
  term.dataset.name = name;
  const fact = makeElement('div', className, term, makeElement('dd'), makeElement('dd', 'explanation', HELP[name] ?? ''));
  fact.title = HELP[name] ?? '';
  return fact;
}
