/**
 * From a stream of sound to packets of float samples: the audio thread, its packets, and a clean end.
 * It must not choose or ask for the stream, nor know the socket or how anything looks. Failures are SoundError with a `code`.
 */

import { PACKET_MS } from './packets.js';

/** How long the audio thread may take to hand over its last samples; a suspended device never answers. */
const FLUSH_LIMIT_MS = 500;

/**
 * @typedef {'insecure' | 'unsupported' | 'no_worklet' | 'denied' | 'missing' | 'busy' | 'failed' | 'share_denied' |
 *   'share_failed' | 'share_silent' | 'file_large' | 'file_unreadable'} SoundProblem
 *
 * @typedef {'microphone' | 'share' | 'file'} SourceKind
 *
 * @typedef {object} Capture one open source of sound
 * @property {string} label its name for people; '' where the browser tells none
 * @property {() => Promise<void>} stop hands over the last samples, then releases what was open; never rejects
 *
 * @typedef {object} CaptureHandlers
 * @property {(samples: Float32Array, sampleRateHz: number) => void} onSamples mono, range -1 to 1, 40 ms or less
 * @property {() => void} onEnd it ended by itself: unplugged, no longer shared, played to its end
 * @property {(isMuted: boolean) => void} onMuted the system took the sound away, or gave it back
 * @property {() => boolean} isReady whether sound that can wait is wanted now
 *
 * @typedef {object} Source
 * @property {SourceKind} kind
 * @property {(handlers: CaptureHandlers) => Promise<Capture>} open rejects with SoundError
 */

/** Why there is no sound. `code` picks the sentence that people read. */
export class SoundError extends Error {
  /**
   * @param {SoundProblem} code
   * @param {unknown} [cause]
   */
  constructor(code, cause) {
    super(`sound: ${code}`, { cause });
    this.code = code;
  }
}

/**
 * What every live source needs of the browser.
 *
 * @returns {SoundProblem | null} null where it has that
 */
export function captureProblem() {
  if (!window.isSecureContext) return 'insecure';
  if (!navigator.mediaDevices?.getUserMedia || !window.AudioContext) return 'unsupported';
  return window.AudioWorkletNode ? null : 'no_worklet';
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
    channelCountMode: 'explicit', // stereo is mixed down before it reaches us
    processorOptions: { packetSamples: Math.round((context.sampleRate * PACKET_MS) / 1000) },
  });
  context.createMediaStreamSource(stream).connect(node);
  return node;
}

/**
 * Capture a stream, which is ours from now on.
 *
 * @param {MediaStream} stream with a track of sound
 * @param {CaptureHandlers} handlers
 * @returns {Promise<Capture>}
 * @throws {SoundError}
 */
export async function captureStream(stream, { onSamples, onEnd, onMuted }) {
  const tracks = stream.getTracks();
  const [heard] = stream.getAudioTracks();
  const context = new AudioContext({ latencyHint: 'interactive' });
  /** @type {AudioWorkletNode} */
  let node;
  try {
    node = await attachPacketiser(context, stream);
  } catch (error) {
    tracks.forEach((track) => track.stop());
    await context.close();
    throw new SoundError('failed', error);
  }
  const { sampleRate } = context;
  /** @type {() => void} */
  let lastHandedOver = () => {};
  node.port.onmessage = ({ data }) => {
    if (data.samples.length > 0) onSamples(data.samples, sampleRate);
    if (data.last) lastHandedOver();
  };
  const release = new AbortController();
  const { signal } = release;
  heard.addEventListener('ended', onEnd, { signal });
  heard.addEventListener('mute', () => onMuted(true), { signal });
  heard.addEventListener('unmute', () => onMuted(false), { signal });
  // A phone call, a change of device or a sleep may suspend the context; the stream itself is still ours.
  const wake = () => {
    if (context.state !== 'closed') context.resume().catch(() => {});
  };
  context.addEventListener('statechange', wake, { signal });
  document.addEventListener('visibilitychange', wake, { signal });

  return {
    label: heard.label,
    async stop() {
      await new Promise((resolve) => {
        lastHandedOver = () => resolve(undefined);
        setTimeout(resolve, FLUSH_LIMIT_MS);
        node.port.postMessage('flush');
      });
      release.abort();
      tracks.forEach((track) => track.stop());
      node.port.onmessage = null;
      await context.close().catch(() => {});
    },
  };
}
