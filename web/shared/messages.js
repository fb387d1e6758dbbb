/**
 * Texts about the state of the server and the connection: what happened, and what the user can do.
 * It holds no state and does not touch the DOM. Other texts are in audio/audio-messages.js and transcript/transcript-messages.js.
 */

/** @import { ConnectionState } from '../connection/server-connection.js' */
/** @import { ServerError, ServerFacts } from '../connection/protocol.js' */

/**
 * @typedef {'good' | 'busy' | 'warn' | 'bad' | 'quiet'} Tone
 * @typedef {{label: string, tone: Tone}} Chip
 * @typedef {{level: 'error' | 'warning' | 'info', text: string, action?: string}} Message `action`: label of a button
 * @typedef {'loading' | 'ready' | 'failed'} ModelState
 */

/** @type {Record<string, string>} by the `where` of an error event; the server's own message follows */
const SERVER_ERRORS = {
  admission: 'The server did not accept the connection',
  audio_packet: 'The server rejected an audio packet',
  audio: 'The server could not process some audio',
  command: 'The server did not understand a command; reloading the page may help',
  resume: 'The session could not be resumed, so a new one began',
  recorder: 'One utterance could not be transcribed',
  main_engine: 'The speech engine failed to start, so there will be no text',
  realtime_engine: 'The engine for live words failed to start, so words may appear only after you pause',
};

const BUSY = /partials come less often/i;

/**
 * The server's warnings, reworded for the user. `$1` is the first group of the pattern.
 *
 * @type {[RegExp, string][]}
 */
const WARNINGS = [
  [/start command/i, 'The server ignored audio because talking had not started. Press Talk to start again'],
  [
    /^([\d,.]+) windows of 32 ms of audio were dropped/i,
    'The server is overloaded and skipped audio: $1 pieces of 32 ms. Some words may be missing',
  ],
  [
    /active speaker limit of (\d+)/i,
    'The server transcribes $1 speakers at a time, and others are speaking. Your last words were not transcribed',
  ],
  [
    /active speaker limit/i,
    'The server transcribes only a few speakers at a time, and others are speaking. Your last words were not transcribed',
  ],
  [
    /Maximum per-session audio buffer.* cut at ([\d.]+) s/i,
    'You spoke for $1 s without a pause, so the utterance was split there. Nothing is lost',
  ],
  [
    /Final transcription backlog: (\d+) utterances wait/i,
    'The server is behind: $1 utterances wait for their final text. None is lost',
  ],
  [BUSY, 'The server is busy, so words appear less often while you speak. Final texts are not affected'],
  [
    /No audio (?:\w+ )?for ([\d.]+) s/i,
    'The server received no audio for $1 s, so it ended the utterance. What it received before is transcribed',
  ],
  [
    /ended while you were disconnected/i,
    'While the connection was lost, another speaker needed your place, so the server ended your utterance. What it received before is transcribed',
  ],
  [/shut(?:s|ting) down/i, 'The server is shutting down. What you said so far is still transcribed'],
];

/** @type {Record<string, string>} why a segment was closed without a final, by the event's `reason` */
const CLOSE_REASONS = {
  empty: 'It contained no words',
  no_speech: 'It was noise, not speech',
  repetition: 'The engine repeated itself, so the text was withheld',
  failed: 'The engine could not transcribe it',
};

/** @type {Chip} */
const READY = { label: 'Ready', tone: 'good' };

/** @type {Record<string, Chip>} by the `state` of a status event; `$word` is the wake word */
const STATES = {
  listening: { label: 'Listening', tone: 'good' },
  voice: { label: 'Hearing you', tone: 'busy' },
  recording: { label: 'Hearing you', tone: 'busy' },
  silence: { label: 'Pause', tone: 'good' },
  transcribing: { label: 'Transcribing', tone: 'busy' },
  wakeword_wait: { label: 'Waiting for $word', tone: 'quiet' },
  wakeword_detected: { label: 'Wake word detected', tone: 'good' },
  wakeword_timeout: { label: 'No speech after the wake word', tone: 'warn' },
};

/**
 * @param {string} text
 * @returns {string} the text with exactly one full stop at its end
 */
export const sentence = (text) => `${text.trim().replace(/[.\s]+$/, '')}.`;

/**
 * @param {ServerError} error
 * @returns {Message}
 */
export function serverErrorMessage({ where, message }) {
  const meaning = Object.hasOwn(SERVER_ERRORS, where) ? SERVER_ERRORS[where] : 'The server reports a problem';
  return { level: 'error', text: sentence(message.trim() ? `${meaning}: ${message}` : meaning) };
}

/**
 * @param {string} message the server's message, shown unchanged unless WARNINGS rewords it
 * @returns {Message}
 */
export function warningMessage(message) {
  const known = WARNINGS.find(([pattern]) => pattern.test(message));
  const group = known ? (known[0].exec(message)?.[1] ?? '') : '';
  const text = known ? known[1].replace('$1', group) : message.trim();
  return { level: 'warning', text: sentence(text || 'The server sent a warning without a message') };
}

/**
 * @param {string} message the server's message
 * @returns {boolean} whether it warns of a temporary load, whose end a status event reports
 */
export const isBusyWarning = (message) => BUSY.test(message);

/**
 * @param {string} reason of a segment without a final
 * @returns {string}
 */
export const closedReason = (reason) =>
  Object.hasOwn(CLOSE_REASONS, reason) ? CLOSE_REASONS[reason] : reason.replaceAll('_', ' ') || 'The server gave no reason';

/** @returns {Message} */
export const loadingMessage = () => ({
  level: 'info',
  text: 'The speech model is still loading. You can already talk: the words appear when it is ready.',
});

/**
 * @param {string} name of a file
 * @param {number} maxBytes of an upload; 0 where the server takes none, Infinity where the limit is not known
 * @returns {Message}
 */
export function realTimeMessage(name, maxBytes) {
  const isLimited = maxBytes > 0 && maxBytes < Infinity;
  const reason = isLimited
    ? `The server takes uploads up to ${Math.round(maxBytes / 2 ** 20).toLocaleString('en')} MiB`
    : 'The server takes no uploads';
  return { level: 'info', text: `${reason}, so this page plays ${name} to it in real time. Its operator can change that.` };
}

/**
 * @param {string} name of a file
 * @param {string} message the server's
 * @returns {Message}
 */
export const incompleteMessage = (name, message) => ({ level: 'warning', text: `${name} is transcribed in part. ${message}` });

/**
 * @param {number} missedEvents events that the server no longer has
 * @returns {Message}
 */
export const resumedMessage = (missedEvents) => ({
  level: 'warning',
  text: `The connection is back, but ${missedEvents === 1 ? 'one message from the server was' : `${missedEvents} messages from the server were`} lost. Some words may be missing.`,
});

/** @type {[RegExp, string][]} why the server accepts no connections now, by its message */
const REJECTIONS = [
  [/wrong keys from this address/i, 'Too many wrong keys came from this address, so the server accepts none for a minute.'],
  [
    /connections from this address/i,
    'The server accepts no more connections from this address. Closing other tabs of this page helps.',
  ],
];

/**
 * @param {ConnectionState} connection
 * @param {boolean} isTalking
 * @returns {Message | null} null while there is nothing to report
 */
export function connectionMessage({ phase, isFull, rejection, failures, graceS }, isTalking) {
  if (phase === 'locked') return { level: 'error', text: 'The server requires a key.', action: 'Enter the key' };
  if (phase === 'open' || failures === 0) return null;
  const action = 'Try now';
  if (isFull) {
    const known = REJECTIONS.find(([pattern]) => pattern.test(rejection));
    return { level: 'error', text: `${known?.[1] ?? 'The server is full.'} This page tries again until it is accepted.`, action };
  }
  const buffered = isTalking && graceS > 0 ? ` The last ${Math.round(graceS)} s of your audio are kept and sent later.` : '';
  const text = `The server cannot be reached. This page tries again by itself, and the transcript stays here.${buffered}`;
  return { level: 'error', text, action };
}

/**
 * @param {ConnectionState} connection
 * @param {boolean} isTalking
 * @returns {Chip} an empty label unless audio is buffered
 */
export function bufferingChip({ phase, graceS }, isTalking) {
  const isBuffering = phase !== 'open' && graceS > 0 && isTalking;
  return { label: isBuffering ? `Not connected: the last ${Math.round(graceS)} s are kept` : '', tone: 'warn' };
}

/**
 * @param {ConnectionState} connection
 * @param {ModelState} model
 * @returns {Chip}
 */
export function connectionChip({ phase, isFull, failures }, model) {
  if (phase === 'locked') return { label: 'Key needed', tone: 'warn' };
  if (phase !== 'open') {
    if (isFull) return { label: 'Server full', tone: 'bad' };
    return failures ? { label: 'Reconnecting', tone: 'warn' } : { label: 'Connecting', tone: 'busy' };
  }
  if (model === 'failed') return { label: 'Engine failed', tone: 'bad' };
  return model === 'ready' ? READY : { label: 'Loading model', tone: 'busy' };
}

/**
 * @param {string} state of a status event
 * @param {string} [wakeWords] separated by commas
 * @returns {Chip}
 */
export function stateChip(state, wakeWords = '') {
  if (!Object.hasOwn(STATES, state)) return { label: state.replaceAll('_', ' '), tone: 'quiet' };
  return { ...STATES[state], label: STATES[state].label.replace('$word', quotedWords(wakeWords) || 'the wake word') };
}

/**
 * @param {string} wakeWords separated by commas
 * @returns {string} such as `“jarvis” or “computer”`; '' without words
 */
const quotedWords = (wakeWords) =>
  wakeWords
    .split(',')
    .map((word) => word.trim())
    .filter(Boolean)
    .map((word) => `“${word}”`)
    .join(' or ');

/**
 * The only chip about the session: the connection, unless that is fine and the server does something.
 *
 * @param {Chip} connection
 * @param {string} recorder state of the last status event, or ''
 * @param {string} wakeWords separated by commas
 * @returns {Chip}
 */
export const sessionChip = (connection, recorder, wakeWords) =>
  connection.label !== READY.label || recorder === '' || recorder === 'idle' ? connection : stateChip(recorder, wakeWords);

/**
 * @param {ServerFacts} server
 * @returns {{title: string, privacy: string}} the first texts of the page: what to say, and what happens with it
 */
export function welcomeTexts({ wakeWords, keepsSound }) {
  const words = quotedWords(wakeWords);
  return {
    title: words ? `Say ${words}, then speak.` : 'Say something.',
    privacy: keepsSound
      ? 'What you say goes only to this server, which transcribes it and keeps a recording.'
      : 'What you say goes only to this server, which transcribes it and keeps no sound.',
  };
}

/**
 * @param {string | null} code of a language, '' where the model decides, null where it is not known
 * @returns {string} such as `English`
 */
export function languageName(code) {
  if (code === null) return '';
  if (!code) return 'Any language';
  try {
    return new Intl.DisplayNames('en', { type: 'language' }).of(code) ?? code;
  } catch {
    return code; // not a code of a language
  }
}

/**
 * @param {string} model as the server names it, such as `moonshine-tiny-en`, or a path
 * @returns {string} such as `moonshine tiny en`
 */
export const modelName = (model) => (model.split(/[\\/]/).at(-1) ?? '').replace(/\.(bin|gguf|onnx|pt)$/, '').replaceAll(/[-_]+/g, ' ');

/**
 * @param {string} language code of the only language that the server transcribes
 * @returns {Message}
 */
export const languageMessage = (language) => ({
  level: 'info',
  text: `This server transcribes ${languageName(language)}. It writes other languages as if they were ${languageName(language)}.`,
});
