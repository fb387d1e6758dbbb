/**
 * Lists the microphones and opens one with the user's audio processing.
 * It does not know what becomes of the samples.
 */

import { AudioError, captureProblem, captureStream } from './capture.js';

/** @import { Capture, CaptureHandlers, AudioProblem } from './capture.js' */

/**
 * @typedef {object} MicrophoneChoice
 * @property {string} deviceId the browser's id of the device; '' lets the browser choose
 * @property {boolean} echoCancellation
 * @property {boolean} noiseSuppression
 * @property {boolean} autoGainControl
 *
 * @typedef {{deviceId: string, label: string}} Microphone
 */

/** @type {Record<string, AudioProblem>} by the name of getUserMedia's DOMException */
const PROBLEMS = {
  NotAllowedError: 'denied',
  SecurityError: 'denied',
  NotFoundError: 'missing',
  OverconstrainedError: 'missing',
  NotReadableError: 'busy',
  AbortError: 'busy',
};

/**
 * @param {MicrophoneChoice} choice
 * @returns {Promise<MediaStream>}
 */
async function requestStream({ deviceId, ...processing }) {
  const problem = captureProblem();
  if (problem) throw new AudioError(problem);
  // `ideal` falls back to another device when the preferred one is gone: any microphone is better than none.
  const device = deviceId ? { deviceId: { ideal: deviceId } } : {};
  try {
    return await navigator.mediaDevices.getUserMedia({ audio: { channelCount: 1, ...processing, ...device } });
  } catch (error) {
    const name = error instanceof DOMException ? error.name : '';
    throw new AudioError(PROBLEMS[name] ?? 'failed', error);
  }
}

/**
 * Open the microphone.
 *
 * @param {MicrophoneChoice} choice
 * @param {CaptureHandlers} handlers
 * @returns {Promise<Capture>}
 * @throws {AudioError}
 */
export async function openMicrophone(choice, handlers) {
  return captureStream(await requestStream(choice), handlers);
}

/**
 * List the microphones. Before the first permission, browsers list them without ids, so the list is empty.
 *
 * @returns {Promise<Microphone[]>} without the browser's aliases for the system's default
 */
export async function listMicrophones() {
  const devices = (await navigator.mediaDevices?.enumerateDevices?.()) ?? [];
  return devices
    .filter(({ kind, deviceId }) => kind === 'audioinput' && deviceId && !['default', 'communications'].includes(deviceId))
    .map(({ deviceId, label }, i) => ({ deviceId, label: label || `Microphone ${i + 1}` }));
}
