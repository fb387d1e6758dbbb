/**
 * Talking: what the Talk button does, which audio source is open, and what happens when a source ends by itself.
 * It never touches the DOM or the connection and opens no devices: sources are handed in.
 */

import {
  audioMessage,
  microphoneLost,
  microphoneMuted,
  microphoneReplaced,
  permissionReason,
  sharingEnded,
} from './audio-messages.js';

/** @import { Capture, CaptureHandlers, AudioError, AudioSource, SourceKind } from './capture.js' */
/** @import { Notices } from '../shared/notices.js' */

/** A browser with a stored permission opens the microphone within this time; one that asks gets an explanation beside it. */
const REASON_AFTER_MS = 400;

/**
 * @typedef {'off' | 'asking' | 'live' | 'stopping'} TalkPhase
 *
 * @typedef {object} TalkState
 * @property {TalkPhase} talk
 * @property {SourceKind | null} source null while talk is off
 * @property {string} sourceLabel '' while unknown
 *
 * @typedef {object} TalkParts
 * @property {Notices} notices
 * @property {(handlers: CaptureHandlers) => Promise<Capture>} openMicrophone with the user's preferences
 * @property {() => boolean} isReady whether the connection can take audio from a source that can wait, such as a file
 * @property {(change: Partial<TalkState>) => void} onState
 * @property {() => void} onBegin before the first samples
 * @property {(samples: Float32Array, sampleRateHz: number) => void} onSamples
 * @property {() => void} onEnd after the last samples
 */

export class TalkController {
  /** @type {TalkState} */
  #state = { talk: 'off', source: null, sourceLabel: '' };
  /** @type {Capture | null} */
  #capture = null;
  /** Counts attempts to open a source, so that the result of an outdated one is recognised. */
  #attempt = 0;
  #parts;

  /** @param {TalkParts} parts */
  constructor(parts) {
    this.#parts = parts;
  }

  /** Whether a source is open; until its last samples are delivered. */
  get isOpen() {
    return this.#capture !== null;
  }

  get phase() {
    return this.#state.talk;
  }

  /** Start, cancel while the browser asks for permission, or stop. Never rejects. */
  async toggle() {
    const { talk } = this.#state;
    if (talk === 'off') await this.#start(this.#microphone);
    else if (talk === 'asking') this.#setState({ talk: 'off', source: null });
    else if (talk === 'live') await this.#stop();
  }

  /**
   * Stop the current source, if any, and start with another one. Never rejects.
   *
   * @param {AudioSource} source
   */
  async startFrom(source) {
    if (this.#state.talk === 'live') await this.#stop();
    if (this.#state.talk !== 'stopping') await this.#start(source);
  }

  /** The microphone preferences changed: reopen an open microphone, within the same stream. Never rejects. */
  async reopenMicrophone() {
    if (this.#state.talk !== 'live' || this.#state.source !== 'microphone') return;
    const capture = this.#capture;
    await capture?.stop(); // two open captures would share one processing in some browsers
    if (this.#capture === capture && this.#state.talk === 'live') await this.#open(this.#microphone, 'live');
  }

  /** @returns {AudioSource} */
  get #microphone() {
    return { kind: 'microphone', open: this.#parts.openMicrophone };
  }

  /** @param {AudioSource} source */
  async #start(source) {
    this.#parts.notices.resolve('audio');
    this.#setState({ talk: 'asking', source: source.kind, sourceLabel: '' });
    if (!(await this.#open(source, 'asking'))) return;
    this.#parts.onBegin();
    this.#setState({ talk: 'live' });
  }

  /**
   * @param {AudioSource} source
   * @param {TalkPhase} during the attempt is outdated once the phase has changed from this
   * @returns {Promise<boolean>} whether the source is open and still wanted
   */
  async #open(source, during) {
    const { notices, isReady, onSamples } = this.#parts;
    this.#attempt += 1;
    const attempt = this.#attempt;
    const isCurrent = () => attempt === this.#attempt;
    const isStale = () => !isCurrent() || this.#state.talk !== during;
    const reason = setTimeout(() => {
      if (source.kind === 'microphone' && !isStale()) notices.show('reason', permissionReason());
    }, REASON_AFTER_MS);
    try {
      const capture = await source.open({
        onSamples: (samples, rateHz) => isCurrent() && this.#capture && onSamples(samples, rateHz),
        onEnd: () => isCurrent() && void this.#sourceEnded(source.kind),
        onMuted: (isMuted) => isCurrent() && this.#muted(isMuted),
        isReady: () => isCurrent() && this.#state.talk === 'live' && isReady(),
      });
      if (isStale()) {
        await capture.stop();
        return false;
      }
      this.#capture = capture;
      this.#setState({ sourceLabel: capture.label });
      return true;
    } catch (error) {
      if (isStale()) return false;
      notices.show('audio', audioMessage(/** @type {AudioError} */ (error).code ?? 'failed'));
      if (during === 'live') await this.#stop();
      else this.#setState({ talk: 'off', source: null });
      return false;
    } finally {
      clearTimeout(reason);
      if (isCurrent()) notices.resolve('reason');
    }
  }

  async #stop() {
    this.#setState({ talk: 'stopping' });
    await this.#capture?.stop(); // delivers the last samples
    this.#capture = null;
    this.#parts.notices.resolve('muted');
    this.#parts.onEnd();
    this.#setState({ talk: 'off', source: null });
  }

  /** @param {SourceKind} kind */
  async #sourceEnded(kind) {
    const { notices } = this.#parts;
    if (this.#state.talk !== 'live') return;
    if (kind === 'microphone') {
      await this.reopenMicrophone();
      const wasReplaced = this.#state.talk === 'live';
      notices.show('audio', wasReplaced ? microphoneReplaced(this.#state.sourceLabel) : microphoneLost());
    } else {
      if (kind === 'share') notices.show('audio', sharingEnded());
      await this.#stop();
    }
  }

  /** @param {boolean} isMuted */
  #muted(isMuted) {
    if (isMuted) this.#parts.notices.show('muted', microphoneMuted());
    else this.#parts.notices.resolve('muted');
  }

  /** @param {Partial<TalkState>} change */
  #setState(change) {
    this.#state = { ...this.#state, ...change };
    this.#parts.onState(change);
  }
}
