/**
 * What this browser remembers of how people like to talk. It must not know what the choices do.
 */

/** @import { MicrophoneChoice } from './microphone.js' */

/** @typedef {MicrophoneChoice & {holdToTalk: boolean}} Preferences */

const KEY = 'trio-stt.sound';

/** @type {Preferences} */
const DEFAULTS = {
  deviceId: '',
  echoCancellation: true,
  noiseSuppression: true,
  autoGainControl: true,
  holdToTalk: false,
};

/**
 * @param {Pick<Storage, 'getItem'>} [storage]
 * @returns {Preferences} the defaults for what is absent, of another type or not to be had
 */
export function loadPreferences(storage) {
  /** @type {Record<string, unknown>} */
  let kept = {};
  try {
    kept = JSON.parse((storage ?? localStorage).getItem(KEY) ?? '{}') ?? {};
  } catch {
    // Storage may be forbidden, or hold what another program wrote.
  }
  const valid = Object.entries(DEFAULTS).map(([name, fallback]) => [
    name,
    typeof kept[name] === typeof fallback ? kept[name] : fallback,
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
    // Without storage the choices hold for as long as the page is open.
  }
}
