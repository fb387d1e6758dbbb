/**
 * Audio sources other than the microphone: a shared tab or screen, and audio files.
 * They do not know what their samples are used for.
 */

import { AudioError, SPEECH_RATE_HZ, captureProblem, captureStream } from './capture.js';
import { Pacer } from './pacer.js';
import { PACKET_MS } from './packets.js';

/** @import { AudioSource } from './capture.js' */

/** Rate of a decoded file in a browser that has no offline context at SPEECH_RATE_HZ; every browser has one at this rate. */
const FALLBACK_RATE_HZ = 48_000;

/** The browser decodes a whole file into memory: an hour of mono audio at 16 kHz is 230 MB of float samples. */
export const MAX_FILE_BYTES = 300_000_000;

export const canShare = () => typeof navigator.mediaDevices?.getDisplayMedia === 'function';

/**
 * The audio of a tab, a window or the screen, selected in the browser's dialog.
 *
 * @type {AudioSource}
 */
export const sharedAudio = {
  kind: 'share',
  async open(handlers) {
    const problem = captureProblem();
    if (problem) throw new AudioError(problem);
    /** @type {MediaStream} */
    let stream;
    try {
      stream = await navigator.mediaDevices.getDisplayMedia({
        // Browsers share no audio without video; the page does not use the video.
        video: { frameRate: 1, width: { max: 320 } },
        audio: { echoCancellation: false, noiseSuppression: false, autoGainControl: false },
        // @ts-expect-error newer than TypeScript's library
        systemAudio: 'include',
      });
    } catch (error) {
      const isDenied = error instanceof DOMException && error.name === 'NotAllowedError';
      throw new AudioError(isDenied ? 'share_denied' : 'share_failed', error);
    }
    if (stream.getAudioTracks().length === 0) {
      stream.getTracks().forEach((track) => track.stop());
      throw new AudioError('share_silent');
    }
    const capture = await captureStream(stream, handlers);
    return { ...capture, label: '' }; // the browser's label is an internal number
  },
};

/**
 * @param {Pick<AudioBuffer, 'numberOfChannels' | 'length' | 'getChannelData'>} decoded
 * @returns {Float32Array} the mean of its channels
 */
export function mixToMono(decoded) {
  const mixed = new Float32Array(decoded.length);
  for (let channel = 0; channel < decoded.numberOfChannels; channel += 1) {
    const samples = decoded.getChannelData(channel);
    for (let i = 0; i < mixed.length; i += 1) mixed[i] += samples[i] / decoded.numberOfChannels;
  }
  return mixed;
}

/** @returns {OfflineAudioContext} decodes to 16 kHz, or to FALLBACK_RATE_HZ where the browser refuses that rate */
function makeDecoder() {
  try {
    return new OfflineAudioContext(1, 1, SPEECH_RATE_HZ);
  } catch {
    return new OfflineAudioContext(1, 1, FALLBACK_RATE_HZ);
  }
}

/**
 * @param {File} file
 * @returns {Promise<{samples: Float32Array, rateHz: number}>} mono
 * @throws {AudioError}
 */
async function decode(file) {
  if (file.size > MAX_FILE_BYTES) throw new AudioError('file_large');
  try {
    const decoded = await makeDecoder().decodeAudioData(await file.arrayBuffer());
    return { samples: mixToMono(decoded), rateHz: decoded.sampleRate };
  } catch (error) {
    throw new AudioError('file_unreadable', error);
  }
}

/**
 * An audio file, sent in real time. While `isReady` is false, playback pauses and nothing is skipped.
 *
 * @param {File} file anything that the browser can decode
 * @param {(playedS: number, lengthS: number) => void} onProgress
 * @returns {AudioSource}
 */
export function fileSource(file, onProgress) {
  return {
    kind: 'file',
    async open(handlers) {
      const { samples, rateHz } = await decode(file);
      const pacer = new Pacer(samples.length, rateHz, PACKET_MS);
      const timer = setInterval(() => {
        for (const [from, to] of pacer.takeDue(performance.now(), handlers.isReady())) {
          handlers.onSamples(samples.subarray(from, to), rateHz);
        }
        onProgress(pacer.playedS, samples.length / rateHz);
        if (!pacer.isDone) return;
        clearInterval(timer);
        handlers.onEnd();
      }, PACKET_MS);
      return {
        label: file.name,
        stop: async () => clearInterval(timer),
      };
    },
  };
}
