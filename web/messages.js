/**
 * Every sentence that people read about the state of things: what happened, and what they can do.
 * It must not keep state or touch the DOM.
 */

/** @import { LinkState } from './link.js' */
/** @import { MicrophoneProblem } from './microphone.js' */
/** @import { ServerError } from './protocol.js' */

/**
 * @typedef {'good' | 'busy' | 'warn' | 'bad' | 'quiet'} Tone
 * @typedef {{label: string, tone: Tone}} Chip
 * @typedef {{level: 'error' | 'warning' | 'info', text: string, canRetry?: boolean}} Message
 * @typedef {'loading' | 'ready' | 'failed'} ModelState
 */

/** @type {Record<MicrophoneProblem, string>} */
const MICROPHONE = {
  insecure:
    'Browsers give the microphone to secure pages only. Open this page over https, or as localhost on the machine itself.',
  unsupported: 'This browser cannot stream a microphone. A current Chrome, Edge, Firefox or Safari can.',
  denied: 'The microphone is blocked for this page. Allow it beside the address bar, then press Talk again.',
  missing: 'No microphone was found. Connect one, then press Talk again.',
  busy: 'The microphone is there but does not answer. Another program may be using it.',
  failed: 'The microphone could not be opened. Press Talk to try again.',
};

/** @type {Record<string, string>} what an error of each kind means, before the server's own words */
const SERVER = {
  audio_packet: 'The server refused a piece of sound',
  audio: 'The server could not use a piece of sound',
  command: 'The server did not understand this page; reloading it may help',
  recorder: 'One passage could not be written down',
  main_engine: 'The speech engine failed to start, so no text will come',
  realtime_engine: 'The live engine failed to start, so words may appear only after you pause',
};

/** @type {Record<string, Chip>} */
const STATES = {
  idle: { label: 'Idle', tone: 'quiet' },
  listening: { label: 'Listening', tone: 'good' },
  voice: { label: 'Hearing a voice', tone: 'busy' },
  recording: { label: 'Hearing you', tone: 'busy' },
  silence: { label: 'Pause', tone: 'good' },
  transcribing: { label: 'Writing', tone: 'busy' },
  wakeword_wait: { label: 'Waiting for the wake word', tone: 'quiet' },
  wakeword_detected: { label: 'Wake word heard', tone: 'good' },
  wakeword_timeout: { label: 'Nothing after the wake word', tone: 'warn' },
};

/**
 * @param {string} words
 * @returns {string} the words with one full stop at their end
 */
const sentence = (words) => `${words.trim().replace(/[.\s]+$/, '')}.`;

/**
 * @param {MicrophoneProblem} code
 * @returns {Message}
 */
export const microphoneMessage = (code) => ({ level: 'error', text: MICROPHONE[code] });

/** @returns {Message} */
export const microphoneLost = () => ({
  level: 'error',
  text: 'The microphone was disconnected. What was said until then is kept; press Talk to go on.',
});

/**
 * @param {ServerError} error
 * @returns {Message}
 */
export function serverErrorMessage({ where, message }) {
  const meaning = Object.hasOwn(SERVER, where) ? SERVER[where] : 'The server reports a problem';
  return { level: 'error', text: sentence(message.trim() ? `${meaning}: ${message}` : meaning) };
}

/**
 * @param {string} message the server's own words
 * @returns {Message}
 */
export const warningMessage = (message) => ({
  level: 'warning',
  text: sentence(message.trim() || 'The server sent a warning without words'),
});

/** @returns {Message} */
export const loadingMessage = () => ({
  level: 'info',
  text: 'The speech model is still loading. You can talk already: the words appear when it is ready.',
});

/**
 * @param {LinkState} link
 * @returns {Message | null} null while there is nothing to say
 */
export function linkMessage({ phase, full, failures }) {
  if (phase === 'open' || failures === 0) return null;
  return full
    ? { level: 'error', text: 'The server is full. This page asks again until there is room.', canRetry: true }
    : {
        level: 'error',
        text: 'The server cannot be reached. This page tries again by itself, and what was said stays here.',
        canRetry: true,
      };
}

/**
 * @param {LinkState} link
 * @param {ModelState} model
 * @returns {Chip}
 */
export function connectionChip({ phase, full, failures }, model) {
  if (phase !== 'open') {
    if (full) return { label: 'Server full', tone: 'bad' };
    return failures ? { label: 'Reconnecting', tone: 'warn' } : { label: 'Connecting', tone: 'busy' };
  }
  if (model === 'failed') return { label: 'Engine failed', tone: 'bad' };
  return model === 'ready' ? { label: 'Ready', tone: 'good' } : { label: 'Loading model', tone: 'busy' };
}

/**
 * @param {string} state as `status` names it
 * @returns {Chip}
 */
export const stateChip = (state) =>
  Object.hasOwn(STATES, state) ? STATES[state] : { label: state.replaceAll('_', ' '), tone: 'quiet' };

/**
 * @param {number} seconds more than 0
 * @returns {string} such as `0.4 s` or `12 s`; never `0.0 s`
 */
export const secondsLabel = (seconds) => `${seconds < 9.95 ? Math.max(0.1, seconds).toFixed(1) : Math.round(seconds)} s`;
