/**
 * The microphone: permission, capture, packets of float samples, and a clean end.
 * It must not know the socket, the transcript or how anything looks. Failures are MicrophoneError with a `code`.
 */

import { PACKET_MS } from './packets.js';

/** How long the audio thread may take to hand over its last samples; a suspended device never answers. */
const FLUSH_LIMIT_MS = 500;

/**
 * @typedef {'insecure' | 'unsupported' | 'denied' | 'missing' | 'busy' | 'failed'} MicrophoneProblem
 *
 * @typedef {object} Capture one open microphone
 * @property {number} sampleRateHz
 * @property {() => Promise<void>} stop hands over the last samples, then releases the device; never rejects
 *
 * @typedef {object} CaptureHandlers
 * @property {(samples: Float32Array, sampleRateHz: number) => void} onSamples mono, range -1 to 1, 40 ms or less
 * @property {() => void} onLost the device went away by itself
 */

/** Why there is no sound. `code` picks the sentence that people read. */
export class MicrophoneError extends Error {
  /**
   * @param {MicrophoneProblem} code
   * @param {unknown} [cause]
   */
  constructor(code, cause) {
    super(`microphone: ${code}`, { cause });
    this.code = code;
  }
}

/** @type {Record<string, MicrophoneProblem>} names that browsers give to getUserMedia's refusals */
const PROBLEMS = {
  NotAllowedError: 'denied',
  SecurityError: 'denied',
  NotFoundError: 'missing',
  OverconstrainedError: 'missing',
  NotReadableError: 'busy',
  AbortError: 'busy',
};

/** @returns {Promise<MediaStream>} */
async function askForStream() {
  if (!window.isSecureContext) throw new MicrophoneError('insecure');
  if (!navigator.mediaDevices?.getUserMedia || !window.AudioWorkletNode) throw new MicrophoneError('unsupported');
  try {
    return await navigator.mediaDevices.getUserMedia({
      audio: { channelCount: 1, echoCancellation: true, noiseSuppression: true, autoGainControl: true },
    });
  } catch (error) {
    const name = error instanceof DOMException ? error.name : '';
    throw new MicrophoneError(PROBLEMS[name] ?? 'failed', error);
  }
}

/**
 * @param {AudioContext} context
 * @param {MediaStream} stream
 * @returns {Promise<AudioWorkletNode>}
 */
async function attachPacketiser(context, stream) {
  await context.audioWorklet.addModule(new URL('worklet.js', import.meta.url));
  await context.resume();
  const node = new AudioWorkletNode(context, 'packetiser', {
    numberOfInputs: 1,
    numberOfOutputs: 0,
    channelCount: 1,
    channelCountMode: 'explicit', // a stereo microphone is mixed down before it reaches us
    processorOptions: { packetSamples: Math.round((context.sampleRate * PACKET_MS) / 1000) },
  });
  context.createMediaStreamSource(stream).connect(node);
  return node;
}

/**
 * Open the microphone.
 *
 * @param {CaptureHandlers} handlers
 * @returns {Promise<Capture>}
 * @throws {MicrophoneError}
 */
export async function openMicrophone({ onSamples, onLost }) {
  const stream = await askForStream();
  const tracks = stream.getTracks();
  const context = new AudioContext({ latencyHint: 'interactive' });
  /** @type {AudioWorkletNode} */
  let node;
  try {
    node = await attachPacketiser(context, stream);
  } catch (error) {
    tracks.forEach((track) => track.stop());
    await context.close();
    throw new MicrophoneError('failed', error);
  }
  const { sampleRate } = context;
  /** @type {() => void} */
  let lastHandedOver = () => {};
  node.port.onmessage = ({ data }) => {
    if (data.samples.length > 0) onSamples(data.samples, sampleRate);
    if (data.last) lastHandedOver();
  };
  tracks.forEach((track) => track.addEventListener('ended', onLost));
  // A phone call or a change of device may suspend the context; the stream itself is still ours.
  const wake = () => {
    if (context.state !== 'closed') context.resume().catch(() => {});
  };
  context.addEventListener('statechange', wake);

  return {
    sampleRateHz: sampleRate,
    async stop() {
      await new Promise((resolve) => {
        lastHandedOver = () => resolve(undefined);
        setTimeout(resolve, FLUSH_LIMIT_MS);
        node.port.postMessage('flush');
      });
      context.removeEventListener('statechange', wake);
      tracks.forEach((track) => track.removeEventListener('ended', onLost));
      tracks.forEach((track) => track.stop());
      node.port.onmessage = null;
      await context.close().catch(() => {});
    },
  };
}
