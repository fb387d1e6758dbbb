/**
 * Captures a MediaStream: an audio worklet cuts it into packets of float samples, and a stop delivers the last of them.
 * It does not choose or request the stream and does not know the connection. Failures are AudioErrors with a `code`.
 */

import { PACKET_MS } from './packets.js';

/**
 * The rate of the server's speech models. At this rate the server does not resample, and the page sends a third of the bytes of 48 kHz.
 * Chromium's resampler loses 2 to 5 dB above 6.5 kHz and nothing that matters below. Word errors on 30 accented clips through the
 * page, mean of 4 runs with Moonshine tiny: 40.9 % at 16 kHz, 44.4 % at the device's 44.1 kHz.
 */
export const SPEECH_RATE_HZ = 16_000;

/** Longest wait for the worklet's last samples on stop; the worklet of a suspended device never answers. */
const FLUSH_TIMEOUT_MS = 500;

/**
 * Longest wait for the browser to start audio. Firefox waits for good where there is no output device, and Safari where no press of
 * a button came before.
 */
const START_TIMEOUT_MS = 5000;

/**
 * @typedef {'insecure' | 'unsupported' | 'no_worklet' | 'not_started' | 'denied' | 'missing' | 'busy' | 'failed' | 'share_denied' |
 *   'share_failed' | 'share_silent' | 'file_large' | 'file_unreadable'} AudioProblem
 *
 * @typedef {'microphone' | 'share' | 'file'} SourceKind
 *
 * @typedef {object} Capture an open audio source
 * @property {string} label the device's or file's name; '' where the browser gives none
 * @property {() => Promise<void>} stop delivers the last samples, then releases everything; never rejects
 *
 * @typedef {object} CaptureHandlers
 * @property {(samples: Float32Array, sampleRateHz: number) => void} onSamples mono, range -1 to 1, 40 ms or less
 * @property {() => void} onEnd the source ended by itself: unplugged, no longer shared, end of file
 * @property {(isMuted: boolean) => void} onMuted the operating system muted or unmuted the source
 * @property {() => boolean} isReady whether the connection can take audio from a source that can wait, such as a file
 *
 * @typedef {object} AudioSource
 * @property {SourceKind} kind
 * @property {(handlers: CaptureHandlers) => Promise<Capture>} open rejects with AudioError
 */

/** Why a source delivers no audio. `code` selects the text that the page shows. */
export class AudioError extends Error {
  /**
   * @param {AudioProblem} code
   * @param {unknown} [cause]
   */
  constructor(code, cause) {
    super(`audio: ${code}`, { cause });
    this.code = code;
  }
}

/**
 * What the browser lacks for capturing live audio.
 *
 * @returns {AudioProblem | null} null where it lacks nothing
 */
export function captureProblem() {
  if (!window.isSecureContext) return 'insecure';
  if (!navigator.mediaDevices?.getUserMedia || !window.AudioContext) return 'unsupported';
  return window.AudioWorkletNode ? null : 'no_worklet';
}

/**
 * Connect a stream to a packetiser worklet in an AudioContext of its own.
 *
 * @param {MediaStream} stream
 * @param {AudioContextOptions} options
 * @returns {Promise<AudioWorkletNode>} its `context` is closed when this rejects
 */
async function startPacketiser(stream, options) {
  const context = new AudioContext({ latencyHint: 'interactive', ...options });
  try {
    // The source comes first: Firefox throws here if the context's rate differs from the stream's.
    const source = context.createMediaStreamSource(stream);
    await context.audioWorklet.addModule(new URL('worklet.js', import.meta.url));
    await started(context);
    const node = new AudioWorkletNode(context, 'packetiser', {
      numberOfInputs: 1,
      numberOfOutputs: 0,
      channelCount: 1,
      channelCountMode: 'explicit', // the browser mixes stereo down to mono
      processorOptions: { packetSamples: Math.round((context.sampleRate * PACKET_MS) / 1000) },
    });
    source.connect(node);
    return node;
  } catch (error) {
    context.close().catch(() => {}); // not awaited: a context that did not start may not close either
    throw error;
  }
}

/**
 * @param {AudioContext} context
 * @returns {Promise<unknown>} resolves once the context runs
 * @throws {AudioError}
 */
function started(context) {
  const timeout = new Promise((_, reject) => setTimeout(reject, START_TIMEOUT_MS, new AudioError('not_started')));
  return Promise.race([context.resume(), timeout]);
}

/**
 * Capture a stream at 16 kHz, or at the device's own rate where the browser does not resample to 16 kHz.
 *
 * @param {MediaStream} stream with an audio track; the capture owns it from here on
 * @param {CaptureHandlers} handlers
 * @returns {Promise<Capture>}
 * @throws {AudioError}
 */
export async function captureStream(stream, { onSamples, onEnd, onMuted }) {
  const [track] = stream.getAudioTracks();
  const stopTracks = () => stream.getTracks().forEach((each) => each.stop());
  /** @type {AudioWorkletNode} */
  let node;
  try {
    node = await startPacketiser(stream, { sampleRate: SPEECH_RATE_HZ }).catch((error) => {
      if (error instanceof AudioError) throw error; // another rate does not help
      return startPacketiser(stream, {});
    });
  } catch (error) {
    stopTracks();
    throw error instanceof AudioError ? error : new AudioError('failed', error);
  }
  const context = /** @type {AudioContext} */ (node.context);
  const { sampleRate } = context; // the browser may have chosen another rate than the one requested
  /** @type {() => void} */
  let onFlushed = () => {};
  node.port.onmessage = ({ data }) => {
    if (data.samples.length > 0) onSamples(data.samples, sampleRate);
    if (data.last) onFlushed();
  };
  const release = new AbortController();
  const { signal } = release;
  track.addEventListener('ended', onEnd, { signal });
  track.addEventListener('mute', () => onMuted(true), { signal });
  track.addEventListener('unmute', () => onMuted(false), { signal });
  // A phone call, a change of device or a sleep may suspend the context while the stream stays open.
  const resume = () => {
    if (context.state !== 'closed') context.resume().catch(() => {});
  };
  context.addEventListener('statechange', resume, { signal });
  document.addEventListener('visibilitychange', resume, { signal });

  return {
    label: track.label,
    async stop() {
      await new Promise((resolve) => {
        onFlushed = () => resolve(undefined);
        setTimeout(resolve, FLUSH_TIMEOUT_MS);
        node.port.postMessage('flush');
      });
      release.abort();
      stopTracks();
      node.port.onmessage = null;
      await context.close().catch(() => {});
    },
  };
}
