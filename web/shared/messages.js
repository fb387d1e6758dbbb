/**
 * Every sentence that people read about the state of things: what happened, and what they can do.
 * It must not keep state or touch the DOM.
 */

/** @import { LinkState } from '../connection/server-connection.js' */
/** @import { ServerError } from '../connection/protocol.js' */
/** @import { LossReason } from '../transcript/transcript.js' */

/**
 * @typedef {'good' | 'busy' | 'warn' | 'bad' | 'quiet'} Tone
 * @typedef {{label: string, tone: Tone}} Chip
 * @typedef {{level: 'error' | 'warning' | 'info', text: string, retry?: string}} Message `retry`: what the button says that tries again
 * @typedef {'loading' | 'ready' | 'failed'} ModelState
 */

/** @type {Record<string, string>} what an error of each kind means, before the server's own words */
const SERVER = {
  admission: 'The server did not let this page in',
  audio_packet: 'The server refused a piece of sound',
  audio: 'The server could not use a piece of sound',
  command: 'The server did not understand this page; reloading it may help',
  resume: 'The session could not be continued, so a new one began',
  recorder: 'One passage could not be written down',
  main_engine: 'The speech engine failed to start, so no text will come',
  realtime_engine: 'The live engine failed to start, so words may appear only after you pause',
};

const BUSY = /Partials come less often/i;

/**
 * Warnings of our server, and what they mean for the person who talks. `$1` is what the first group caught.
 *
 * @type {[RegExp, string][]}
 */
const WARNINGS = [
  [/start command/i, 'Sound arrived while the server was not listening and was ignored. Press Talk to begin again'],
  [
    /^([\d,.]+) windows of 32 ms of audio were dropped/i,
    'The server does not keep up and had to skip sound: $1 pieces of 32 ms. Some words may be missing',
  ],
  [
    /active speaker limit of (\d+)/i,
    'Others are speaking: the server hears $1 at a time, and what you just said was not written down',
  ],
  [/active speaker limit/i, 'Others are speaking, and what you just said was not written down: the server hears only so many at a time'],
  [
    /Maximum per-session audio buffer.* cut at ([\d.]+) s/i,
    'You spoke for $1 s without a pause, so the passage was divided there. Nothing is lost',
  ],
  [
    /Final transcription backlog: (\d+) utterances wait, none is lost/i,
    'The server is behind: $1 passages wait for their final text. None is lost',
  ],
  [BUSY, 'The server is busy, so words appear less often while you speak. Final texts are not affected'],
  [
    /No audio came for ([\d.]+) s/i,
    'No sound reached the server for $1 s, so the passage was ended there. What was heard is written down',
  ],
];

/** @type {Record<LossReason, string>} why a block will have no final text */
const LOSSES = {
  '': 'no final text',
  failed: 'the engine failed: no final text',
  repetition: 'withheld: the engine repeated itself',
  disconnected: 'connection lost: no final text',
  unknown: 'no final text',
};

/** @type {Record<string, string>} why a segment ended without a final */
const CLOSED = {
  empty: 'No words were heard in it',
  no_speech: 'It was a noise, not speech',
  repetition: 'The engine repeated itself, so its text was withheld',
  failed: 'The engine could not write it down',
};

/** @type {Record<string, Chip>} */
const STATES = {
  idle: { label: 'Idle', tone: 'quiet' },
  listening: { label: 'Listening', tone: 'good' },
  voice: { label: 'Hearing a voice', tone: 'busy' },
  recording: { label: 'Hearing you', tone: 'busy' },
  silence: { label: 'Pause', tone: 'good' },
  transcribing: { label: 'Writing', tone: 'busy' },
  wakeword_wait: { label: 'Waiting for $word', tone: 'quiet' },
  wakeword_detected: { label: 'Wake word heard', tone: 'good' },
  wakeword_timeout: { label: 'Nothing after the wake word', tone: 'warn' },
};

/**
 * @param {string} words
 * @returns {string} the words with one full stop at their end
 */
const sentence = (words) => `${words.trim().replace(/[.\s]+$/, '')}.`;

/**
 * @param {ServerError} error
 * @returns {Message}
 */
export function serverErrorMessage({ where, message }) {
  const meaning = Object.hasOwn(SERVER, where) ? SERVER[where] : 'The server reports a problem';
  return { level: 'error', text: sentence(message.trim() ? `${meaning}: ${message}` : meaning) };
}

/**
 * @param {string} message the server's own words, which stay as they are where we know none that are clearer
 * @returns {Message}
 */
export function warningMessage(message) {
  const known = WARNINGS.find(([pattern]) => pattern.test(message));
  const caught = known ? (known[0].exec(message)?.[1] ?? '') : '';
  const words = known ? known[1].replace('$1', caught) : message.trim();
  return { level: 'warning', text: sentence(words || 'The server sent a warning without words') };
}

/**
 * @param {string} message the server's own words
 * @returns {boolean} whether it is about a load that passes, whose end `status` tells
 */
export const isBusyWarning = (message) => BUSY.test(message);

/**
 * @param {LossReason} loss
 * @returns {string} a note beside a block
 */
export const lossNote = (loss) => LOSSES[loss];

/**
 * @param {string} reason of a segment without a final
 * @returns {string}
 */
export const closedReason = (reason) =>
  Object.hasOwn(CLOSED, reason) ? CLOSED[reason] : reason.replaceAll('_', ' ') || 'The server gave no reason';

/** @returns {Message} */
export const loadingMessage = () => ({
  level: 'info',
  text: 'The speech model is still loading. You can talk already: the words appear when it is ready.',
});

/**
 * @param {number} missedEvents events of the server that it no longer has
 * @returns {Message}
 */
export const resumedMessage = (missedEvents) => ({
  level: 'warning',
  text: `The connection is back, but ${missedEvents === 1 ? 'one message' : `${missedEvents} messages`} of the server got lost. Some words may be missing.`,
});

/** @type {[RegExp, string][]} why the server lets nobody in for now, by its own words */
const REFUSALS = [
  [/wrong keys from this address/i, 'Too many wrong keys came from this address, so the server lets nobody in for a minute.'],
  [/connections from this address/i, 'The server takes no more connections from this address. Closing other tabs of this page helps.'],
  [/keys wait to be checked/i, 'The server has too many keys to check at once.'],
];

/**
 * @param {LinkState} link
 * @returns {Message | null} null while there is nothing to say
 */
export function linkMessage({ phase, full, refusal, failures, keepsS }) {
  if (phase === 'locked') return { level: 'error', text: 'The server asks for a key.', retry: 'Enter the key' };
  if (phase === 'open' || failures === 0) return null;
  const retry = 'Try now';
  if (full) {
    const known = REFUSALS.find(([pattern]) => pattern.test(refusal));
    return { level: 'error', text: `${known?.[1] ?? 'The server is full.'} This page asks again until there is room.`, retry };
  }
  const kept = keepsS > 0 ? ` While you talk, the last ${Math.round(keepsS)} s are kept for it.` : '';
  const text = `The server cannot be reached. This page tries again by itself, and what was said stays here.${kept}`;
  return { level: 'error', text, retry };
}

/**
 * @param {LinkState} link
 * @param {boolean} isTalking
 * @returns {Chip} an empty label while there is nothing to say
 */
export function keptChip({ phase, keepsS }, isTalking) {
  const isKept = phase !== 'open' && keepsS > 0 && isTalking;
  return { label: isKept ? `Not connected: the last ${Math.round(keepsS)} s are kept` : '', tone: 'warn' };
}

/**
 * @param {LinkState} link
 * @param {ModelState} model
 * @returns {Chip}
 */
export function connectionChip({ phase, full, failures }, model) {
  if (phase === 'locked') return { label: 'Key needed', tone: 'warn' };
  if (phase !== 'open') {
    if (full) return { label: 'Server full', tone: 'bad' };
    return failures ? { label: 'Reconnecting', tone: 'warn' } : { label: 'Connecting', tone: 'busy' };
  }
  if (model === 'failed') return { label: 'Engine failed', tone: 'bad' };
  return model === 'ready' ? { label: 'Ready', tone: 'good' } : { label: 'Loading model', tone: 'busy' };
}

/**
 * @param {string} state as `status` names it
 * @param {string} [wakeWords] those that are listened for, with commas between
 * @returns {Chip}
 */
export function stateChip(state, wakeWords = '') {
  if (!Object.hasOwn(STATES, state)) return { label: state.replaceAll('_', ' '), tone: 'quiet' };
  const words = wakeWords.split(',').map((word) => word.trim()).filter(Boolean);
  const word = words.length > 0 ? words.map((each) => `“${each}”`).join(' or ') : 'the wake word';
  return { ...STATES[state], label: STATES[state].label.replace('$word', word) };
}

/**
 * @param {number} seconds more than 0
 * @returns {string} such as `0.4 s` or `12 s`; never `0.0 s`
 */
export const secondsLabel = (seconds) => `${seconds < 9.95 ? Math.max(0.1, seconds).toFixed(1) : Math.round(seconds)} s`;
