/**
 * Sound that is no microphone: that of a tab or the screen, and sound files.
 * It must not know what becomes of it.
 */

import { SoundError, captureProblem, captureStream } from './capture.js';
import { Pacer } from './pacer.js';
import { PACKET_MS } from './packets.js';

/** @import { Capture, CaptureHandlers, Source } from './capture.js' */

/** What speech models work at; decoding straight to it keeps an hour within a few hundred megabytes. */
const FILE_RATE_HZ = 16_000;
const LARGEST_FILE_BYTES = 300_000_000;

export const canShare = () => typeof navigator.mediaDevices?.getDisplayMedia === 'function';

/**
 * The sound of a tab, a window or the screen, as the browser lets people choose.
 *
 * @type {Source}
 */
export const sharedSound = {
  kind: 'share',
  async open(handlers) {
    const problem = captureProblem();
    if (problem) throw new SoundError(problem);
    /** @type {MediaStream} */
    let stream;
    try {
      stream = await navigator.mediaDevices.getDisplayMedia({
        // Browsers share no sound without a picture; nobody looks at this one.
        video: { frameRate: 1, width: { max: 320 } },
        audio: { echoCancellation: false, noiseSuppression: false, autoGainControl: false },
        // @ts-expect-error newer than TypeScript's library
        systemAudio: 'include',
      });
    } catch (error) {
      const isDenied = error instanceof DOMException && error.name === 'NotAllowedError';
      throw new SoundError(isDenied ? 'share_denied' : 'share_failed', error);
    }
    if (stream.getAudioTracks().length === 0) {
      stream.getTracks().forEach((track) => track.stop());
      throw new SoundError('share_silent');
    }
    const capture = await captureStream(stream, handlers);
    return { ...capture, label: '' }; // browsers name it by a number
  },
};

/**
 * @param {Pick<AudioBuffer, 'numberOfChannels' | 'length' | 'getChannelData'>} decoded
 * @returns {Float32Array} the mean of its channels
 */
export function mixedDown(decoded) {
  const mixed = new Float32Array(decoded.length);
  for (let channel = 0; channel < decoded.numberOfChannels; channel += 1) {
    const samples = decoded.getChannelData(channel);
    for (let i = 0; i < mixed.length; i += 1) mixed[i] += samples[i] / decoded.numberOfChannels;
  }
  return mixed;
}

/**
 * @param {File} file
 * @returns {Promise<Float32Array>} mono, at FILE_RATE_HZ
 */
async function decode(file) {
  if (file.size > LARGEST_FILE_BYTES) throw new SoundError('file_large');
  try {
    const context = new OfflineAudioContext(1, 1, FILE_RATE_HZ);
    const decoded = await context.decodeAudioData(await file.arrayBuffer());
    return mixedDown(decoded);
  } catch (error) {
    throw new SoundError('file_unreadable', error);
  }
}

/**
 * A sound file, played to the server as fast as it was spoken. While nobody is ready for it, it waits.
 *
 * @param {File} file anything that the browser can decode
 * @param {(playedS: number, lengthS: number) => void} onProgress
 * @returns {Source}
 */
export function fileSource(file, onProgress) {
  return {
    kind: 'file',
    async open(handlers) {
      const samples = await decode(file);
      const pacer = new Pacer(samples.length, FILE_RATE_HZ, PACKET_MS);
      const timer = setInterval(() => {
        for (const [from, to] of pacer.take(performance.now(), handlers.isReady())) {
          handlers.onSamples(samples.subarray(from, to), FILE_RATE_HZ);
        }
        onProgress(pacer.playedS, samples.length / FILE_RATE_HZ);
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
