/**
 * The server's HTTP side: reading its configuration and figures, and asking for changes.
 * It must not keep or show anything: the key that it shows the server is asked for each time.
 */

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
 * @property {string} help
 * @property {string} flag
 * @property {string} environment
 *
 * @typedef {{settings: Record<string, unknown>, schema: Record<string, SettingSchema>}} Config
 *
 * @typedef {object} ConfigChange what became of a request
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
 * @property {string} [engine]
 * @property {string} [model]
 * @property {string} [device]
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

/** The server answered, and not with what was asked for; the message is its own, or for people in its stead. */
export class ApiError extends Error {
  /** That of the answer, or 0 without one. */
  status = 0;
}

/** @type {() => string} */
let key = () => '';

/** @param {() => string} current gives the key that requests are sent with, or '' */
export function authorizeWith(current) {
  key = current;
}

/** @type {Record<number, string>} what an answer means where there are keys */
const WITH_KEYS = {
  401: 'The server asks for a key, and has no right one from this page.',
  403: 'The key in use is for talking only: this needs an admin key.',
};

/**
 * @param {string} path
 * @param {RequestInit} [init]
 * @returns {Promise<any>} the JSON body
 * @throws {ApiError}
 */
async function ask(path, init = {}) {
  /** @type {Response} */
  let answer;
  /** @type {any} */
  let body;
  const headers = new Headers(init.headers);
  try {
    if (key()) headers.set('Authorization', `Bearer ${key()}`);
    const signal = AbortSignal.timeout(TIMEOUT_MS);
    answer = await fetch(new URL(path, document.baseURI), { ...init, headers, signal });
    body = await answer.json();
  } catch (error) {
    throw new ApiError('The server does not answer.', { cause: error });
  }
  const isJudged = answer.status === 400 && 'rejected' in body;
  if (answer.ok || isJudged) return body;
  const own = [body.error, body.detail].find((each) => typeof each === 'string');
  const isOfKeys = answer.status === 401 || (answer.status === 403 && key() !== '');
  const words = isOfKeys ? WITH_KEYS[answer.status] : (own ?? `The server answered with status ${answer.status}.`);
  throw Object.assign(new ApiError(words), { status: answer.status });
}

/** @returns {Promise<Config>} */
export const fetchConfig = () => ask('api/config');

/** @returns {Promise<Metrics>} */
export const fetchMetrics = () => ask('api/metrics');

/** @returns {Promise<boolean>} whether the key in use may only talk */
export async function mayOnlyTalk() {
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
 * @returns {Promise<ConfigChange>} also where some were refused
 */
export const changeConfig = (settings) =>
  ask('api/config', {
    method: 'PATCH',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ settings }),
  });
