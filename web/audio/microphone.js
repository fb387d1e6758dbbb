/**
 * The microphone: which there are, asking for one, and how its sound is to be treated.
 * It must not know what becomes of its sound.
 */

import { AudioError, captureProblem, captureStream } from './capture.js';

/** @import { Capture, CaptureHandlers, AudioProblem } from './capture.js' */

/**
 * @typedef {object} MicrophoneChoice
 * @property {string} deviceId as the browser names it; '' leaves the choice to the browser
 * @property {boolean} echoCancellation
 * @property {boolean} noiseSuppression
 * @property {boolean} autoGainControl
 *
 * @typedef {{deviceId: string, label: string}} Microphone
 */

/** @type {Record<string, AudioProblem>} names that browsers give to getUserMedia's refusals */
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
async function askForStream({ deviceId, ...treatment }) {
  const problem = captureProblem();
  if (problem) throw new AudioError(problem);
  // A preferred device that is gone gives way to another: being heard matters more than by which one.
  const device = deviceId ? { deviceId: { ideal: deviceId } } : {};
  try {
    return await navigator.mediaDevices.getUserMedia({ audio: { channelCount: 1, ...treatment, ...device } });
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
  return captureStream(await askForStream(choice), handlers);
}

/**
 * The microphones that there are; browsers tell none of them apart before the first permission.
 *
 * @returns {Promise<Microphone[]>} without the aliases that stand for the system's choice
 */
export async function listMicrophones() {
  const devices = (await navigator.mediaDevices?.enumerateDevices?.()) ?? [];
  return devices
    .filter(({ kind, deviceId }) => kind === 'audioinput' && deviceId && !['default', 'communications'].includes(deviceId))
    .map(({ deviceId, label }, i) => ({ deviceId, label: label || `Microphone ${i + 1}` }));
}
