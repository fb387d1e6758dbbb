/**
 * The user's preferences, stored in the browser. It does not know what they do.
 */

/** @import { MicrophoneChoice } from '../audio/microphone.js' */

/**
 * @typedef {MicrophoneChoice & {holdToTalk: boolean, keepTranscript: boolean, showDetails: boolean, separateChannels: boolean}} Preferences
 *   `keepTranscript`: in this browser, over a reload. `showDetails`: the figures of each utterance.
 *   `separateChannels`: each channel of a file is a speaker.
 */

const KEY = 'trio-stt.sound';

/** @type {Preferences} */
const DEFAULTS = {
  deviceId: '',
  echoCancellation: true,
  noiseSuppression: true,
  autoGainControl: true,
  holdToTalk: false,
  keepTranscript: true,
  showDetails: false,
  separateChannels: false,
};

/**
 * @param {Pick<Storage, 'getItem'>} [storage]
 * @returns {Preferences} defaults stand in for values that are absent or of another type
 */
export function loadPreferences(storage) {
  /** @type {Record<string, unknown>} */
  let stored = {};
  try {
    stored = JSON.parse((storage ?? localStorage).getItem(KEY) ?? '{}') ?? {};
  } catch {
    // The browser may forbid storage, or another program may have written the value.
  }
  const valid = Object.entries(DEFAULTS).map(([name, fallback]) => [
    name,
    typeof stored[name] === typeof fallback ? stored[name] : fallback,
  ]);
  return Object.fromEntries(valid);
}

/**
 * @param {Preferences} preferences
 * @param {Pick<Storage, 'setItem'>} [storage]
 */
export function savePreferences(preferences, storage) {
  try {
    (storage ?? localStorage).setItem(KEY, JSON.stringify(preferences));
  } catch {
    // Without storage the preferences last until the page is closed.
  }
}
