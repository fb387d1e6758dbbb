/**
 * Talking: what the button does, where the sound comes from, and what becomes of a source that goes away.
 * It must not touch the DOM or the socket, nor open devices itself: those are handed in.
 */

import {
  microphoneLost,
  microphoneMuted,
  microphoneReplaced,
  permissionReason,
  sharingEnded,
  soundMessage,
} from './audio-messages.js';

/** @import { Capture, CaptureHandlers, AudioError, AudioSource, SourceKind } from './capture.js' */
/** @import { Notices } from '../shared/notices.js' */

/** A browser that was allowed before answers within this; one that asks people deserves a reason beside its question. */
const REASON_AFTER_MS = 400;

/**
 * @typedef {'off' | 'asking' | 'live' | 'stopping'} TalkPhase
 *
 * @typedef {object} TalkState
 * @property {TalkPhase} talk
 * @property {SourceKind | null} source where sound comes from, unless talk is off
 * @property {string} sourceLabel its name, or '' while unknown
 *
 * @typedef {object} TalkParts
 * @property {Notices} notices
 * @property {(handlers: CaptureHandlers) => Promise<Capture>} openMicrophone as people chose it
 * @property {() => boolean} isReady whether sound that can wait is wanted now
 * @property {(change: Partial<TalkState>) => void} onState
 * @property {() => void} onBegin before the first samples
 * @property {(samples: Float32Array, sampleRateHz: number) => void} onSamples
 * @property {() => void} onEnd after the last samples
 */

export class Talk {
  /** @type {TalkState} */
  #state = { talk: 'off', source: null, sourceLabel: '' };
  /** @type {Capture | null} */
  #capture = null;
  /** Counts openings, so that an answer to an earlier one is known as such. */
  #attempt = 0;
  #parts;

  /** @param {TalkParts} parts */
  constructor(parts) {
    this.#parts = parts;
  }

  /** Whether a stream runs, its last samples included. */
  get isOpen() {
    return this.#capture !== null;
  }

  get phase() {
    return this.#state.talk;
  }

  /** Start talking, change one's mind while asked for permission, or stop. Never rejects. */
  async toggle() {
    const { talk } = this.#state;
    if (talk === 'off') await this.#start(this.#microphone);
    else if (talk === 'asking') this.#become({ talk: 'off', source: null });
    else if (talk === 'live') await this.#stop();
  }

  /**
   * Take sound from somewhere else, after a proper end of what is heard now. Never rejects.
   *
   * @param {AudioSource} source
   */
  async hear(source) {
    if (this.#state.talk === 'live') await this.#stop();
    if (this.#state.talk !== 'stopping') await this.#start(source);
  }

  /** The choice of microphone changed: one that is open is opened anew, within the same stream. Never rejects. */
  async reopenMicrophone() {
    if (this.#state.talk !== 'live' || this.#state.source !== 'microphone') return;
    const capture = this.#capture;
    await capture?.stop(); // two at once would share one treatment in some browsers
    if (this.#capture === capture && this.#state.talk === 'live') await this.#open(this.#microphone, 'live');
  }

  /** @returns {AudioSource} */
  get #microphone() {
    return { kind: 'microphone', open: this.#parts.openMicrophone };
  }

  /** @param {AudioSource} source */
  async #start(source) {
    this.#parts.notices.resolve('sound');
    this.#become({ talk: 'asking', source: source.kind, sourceLabel: '' });
    if (!(await this.#open(source, 'asking'))) return;
    this.#parts.onBegin();
    this.#become({ talk: 'live' });
  }

  /**
   * @param {AudioSource} source
   * @param {TalkPhase} during nobody wants it any more once this has changed
   * @returns {Promise<boolean>} whether it is open and wanted
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
      this.#become({ sourceLabel: capture.label });
      return true;
    } catch (error) {
      if (isStale()) return false;
      notices.show('sound', soundMessage(/** @type {AudioError} */ (error).code ?? 'failed'));
      if (during === 'live') await this.#stop();
      else this.#become({ talk: 'off', source: null });
      return false;
    } finally {
      clearTimeout(reason);
      if (isCurrent()) notices.resolve('reason');
    }
  }

  async #stop() {
    this.#become({ talk: 'stopping' });
    await this.#capture?.stop(); // its last samples are sent meanwhile
    this.#capture = null;
    this.#parts.notices.resolve('muted');
    this.#parts.onEnd();
    this.#become({ talk: 'off', source: null });
  }

  /** @param {SourceKind} kind */
  async #sourceEnded(kind) {
    const { notices } = this.#parts;
    if (this.#state.talk !== 'live') return;
    if (kind === 'microphone') {
      await this.reopenMicrophone();
      const wasReplaced = this.#state.talk === 'live';
      notices.show('sound', wasReplaced ? microphoneReplaced(this.#state.sourceLabel) : microphoneLost());
    } else {
      if (kind === 'share') notices.show('sound', sharingEnded());
      await this.#stop();
    }
  }

  /** @param {boolean} isMuted */
  #muted(isMuted) {
    if (isMuted) this.#parts.notices.show('muted', microphoneMuted());
    else this.#parts.notices.resolve('muted');
  }

  /** @param {Partial<TalkState>} change */
  #become(change) {
    this.#state = { ...this.#state, ...change };
    this.#parts.onState(change);
  }
}
