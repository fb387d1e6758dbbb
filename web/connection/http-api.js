/**
 * Client of the server's HTTP API: configuration and metrics.
 * It stores nothing; it gets the API key anew for each request.
 */

/** @import { Piece } from './protocol.js' */

const TIMEOUT_MS = 10_000;

/**
 * @typedef {object} SettingSchema one setting, as `/api/config` describes it
 * @property {'activeSessionSafe' | 'newSessionOnly' | 'startupOnly'} runtimeClass
 * @property {string} group
 * @property {'boolean' | 'integer' | 'number' | 'text' | 'numbers'} type
 * @property {boolean} nullable
 * @property {number | null} minimum
 * @property {boolean} exclusiveMinimum
 * @property {number | null} maximum
 * @property {number | null} maxLength
 * @property {string[]} choices
 * @property {unknown} default
 * @property {string} label its name for people
 * @property {string} unit of its value, such as `s`; '' without one
 * @property {string} help
 * @property {string} flag
 * @property {string} environment
 *
 * @typedef {{settings: Record<string, unknown>, schema: Record<string, SettingSchema>}} Config
 *
 * @typedef {object} ConfigChange result of a PATCH
 * @property {Record<string, {value: unknown, appliesTo: string}>} applied
 * @property {Record<string, {reason: string, message: string}>} rejected
 * @property {Record<string, unknown>} settings
 * @property {string[]} warnings
 *
 * @typedef {{count: number, avgMs: number, maxMs: number, p50Ms: number, p95Ms: number}} Statistics
 *
 * @typedef {object} QueueReport
 * @property {number} queued
 * @property {number} coalescedRealtime
 * @property {number} staleRealtimeDropped
 * @property {number} rejectedJobs
 *
 * @typedef {object} WorkerReport
 * @property {boolean} ready
 * @property {boolean} healthy
 * @property {number} completedJobs
 * @property {number} failedJobs
 * @property {number} busyRatio
 * @property {Statistics} queueDelay
 * @property {Statistics} inferenceDuration
 * @property {Statistics} totalLatency
 * @property {number} [serving] engines that serve
 * @property {number} [workers] engines that the lane should have
 * @property {number} [restarts] engines that were replaced
 * @property {string} [engine]
 * @property {string} [model]
 * @property {string} [device]
 * @property {{languages: string[], languagePerSession?: boolean} | null} [capabilities]
 *
 * @typedef {object} SessionReport
 * @property {string} sessionId
 * @property {string} state
 * @property {boolean} streaming
 * @property {boolean} recording
 * @property {number} queueDepth
 * @property {number} recordingSeconds
 * @property {number} realtimeCompleted
 * @property {number} finalCompleted
 * @property {number} droppedAudioChunks
 * @property {number} rejectedAudioChunks
 * @property {{realtime: Statistics, final: Statistics}} totalLatency
 *
 * @typedef {object} Metrics
 * @property {number} activeSessions
 * @property {number} activeSpeakers
 * @property {number} rejectedSessions
 * @property {boolean} ready
 * @property {boolean} ok
 * @property {Record<string, SessionReport>} sessions
 * @property {{mode: string, queues: Record<string, QueueReport>, workers: Record<string, WorkerReport>}} scheduler
 * @property {{maxSessions: number, maxActiveSpeakers: number}} limits
 * @property {{message: string, where: string}[]} startupErrors
 */

/** A failed request. The message is for the user: the server's own, or one in its place. */
export class ApiError extends Error {
  /** HTTP status, or 0 without a response. */
  status = 0;
}

/** @type {() => string} */
let key = () => '';

/** @param {() => string} current returns the API key for the next request, or '' */
export function authorizeWith(current) {
  key = current;
}

/** @type {Record<number, string>} by HTTP status, where the server has API keys */
const KEY_PROBLEMS = {
  401: 'The server requires a key, and this page has no valid one.',
  403: 'Your key is for talking only. This needs an admin key.',
};

/**
 * @param {string} path
 * @param {RequestInit} [init]
 * @param {{timeoutMs?: number, isText?: boolean}} [options] `isText`: the answer is text, not JSON
 * @returns {Promise<any>} the JSON body, or the text
 * @throws {ApiError}
 */
async function request(path, init = {}, { timeoutMs = TIMEOUT_MS, isText = false } = {}) {
  /** @type {Response} */
  let response;
  /** @type {any} */
  let body;
  const headers = new Headers(init.headers);
  try {
    if (key()) headers.set('Authorization', `Bearer ${key()}`);
    const signal = AbortSignal.timeout(timeoutMs);
    response = await fetch(new URL(path, document.baseURI), { ...init, headers, signal });
    body = isText && response.ok ? await response.text() : await response.json();
  } catch (error) {
    throw new ApiError('The server does not respond.', { cause: error });
  }
  const { status } = response;
  const hasRejections = status === 400 && 'rejected' in body;
  if (response.ok || hasRejections) return body;
  const serverMessage = [body.error, body.detail].find((each) => typeof each === 'string');
  const isAboutKey = status === 401 || (status === 403 && key() !== '');
  const message = isAboutKey ? KEY_PROBLEMS[status] : (serverMessage ?? `The server responded with status ${status}.`);
  throw Object.assign(new ApiError(message), { status });
}

/** @returns {Promise<Config>} */
export const fetchConfig = () => request('api/config');

/** @returns {Promise<Pick<Metrics, 'scheduler'>>} */
export const fetchHealth = () => request('health');

/**
 * @typedef {object} DialectReport the clients of one protocol since the server started
 * @property {number} sessions now
 * @property {number} sessionsStarted
 * @property {number} audioSeconds
 * @property {number} finals
 * @property {number} partials
 * @property {Record<string, number>} rejections by reason
 *
 * @typedef {object} History the last hour; lists have one value per interval, the oldest first
 * @property {string} version
 * @property {number} uptimeSeconds
 * @property {number} cores
 * @property {number} sampleSeconds
 * @property {Record<string, number>} rejections by reason
 * @property {Record<string, DialectReport>} dialects those whose clients had a session or were refused one
 * @property {number[]} speakers
 * @property {number[]} queued
 * @property {number[]} busy
 * @property {number[]} cpu
 * @property {number[]} memoryBytes
 */

/** @returns {Promise<History>} */
export const fetchHistory = () => request('api/history');

/**
 * @typedef {object} SubtitleSegment one utterance, on one time axis with its pieces
 * @property {string} text
 * @property {number} startSeconds
 * @property {number} [endSeconds]
 * @property {Piece[]} [pieces]
 * @property {number} [channel]
 */

/** The server takes some seconds to write the subtitles of a whole day. */
const SUBTITLES_TIMEOUT_MS = 60_000;

/**
 * @param {'srt' | 'vtt'} format
 * @param {SubtitleSegment[]} segments
 * @returns {Promise<string>} the file
 */
export const writeSubtitles = (format, segments) =>
  request(
    'api/subtitles',
    { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ format, segments }) },
    { timeoutMs: SUBTITLES_TIMEOUT_MS, isText: true },
  );

/** @returns {Promise<Metrics>} */
export const fetchMetrics = () => request('api/metrics');

/** @returns {Promise<boolean>} whether the key in use has the scope talk, and not admin */
export async function hasTalkScopeOnly() {
  if (!key()) return false;
  try {
    await fetchMetrics();
    return false;
  } catch (error) {
    return error instanceof ApiError && error.status === 403;
  }
}

/**
 * @param {Record<string, unknown>} settings values by name
 * @returns {Promise<ConfigChange>} also when some are rejected
 */
export const changeConfig = (settings) =>
  request('api/config', {
    method: 'PATCH',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ settings }),
  });
