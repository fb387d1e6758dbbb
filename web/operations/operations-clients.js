/**
 * The clients of the server by the protocol that they speak, and why some are refused, as texts. It does not touch the DOM.
 */

import { count, durationLabel } from './operations-facts.js';

/** @import { DialectReport } from '../connection/http-api.js' */

export const CLIENT_COLUMNS = [
  { title: 'Clients', help: 'By the protocol that they speak.' },
  { title: 'Sessions now', help: 'Connected clients, and those that may still resume.' },
  { title: 'Since start', help: 'All sessions and uploads since the server started.' },
  { title: 'Audio', help: 'Length of the audio that the server accepted from them.' },
  { title: 'Partials', help: 'Live texts made for them.' },
  { title: 'Finals', help: 'Final texts made for them.' },
  { title: 'Refused', help: 'Those that got no session, by reason.' },
];

/** @type {Record<string, string>} why clients are refused */
const REFUSALS = {
  full: 'server full',
  closing: 'shutting down',
  access: 'key, host or origin',
  connections: 'too many from one address',
};

/** @type {Record<string, string>} the protocols of clients */
const CLIENTS = {
  realtimestt: 'This page, native clients',
  openai: 'OpenAI uploads, this page’s files',
  'openai-realtime': 'OpenAI Realtime',
  deepgram: 'Deepgram, live',
  'deepgram-files': 'Deepgram uploads',
  whisper: 'Whisper uploads',
  vosk: 'Vosk',
  wyoming: 'Wyoming',
  other: 'Unknown paths',
};

/** @param {Record<string, number>} refusals numbers by reason */
export const refusalsText = (refusals) =>
  Object.entries(refusals).map(([reason, number]) => `${count(number)} ${REFUSALS[reason] ?? reason}`).join(', ');

/**
 * @param {string} dialect
 * @param {DialectReport} report
 */
export function clientRow(dialect, { sessions, sessionsStarted, audioSeconds, partials, finals, rejections }) {
  const figures = [count(sessions), count(sessionsStarted), durationLabel(audioSeconds), count(partials), count(finals)];
  return { id: dialect, name: [CLIENTS[dialect] ?? dialect], cells: [...figures, refusalsText(rejections) || '0'] };
}
