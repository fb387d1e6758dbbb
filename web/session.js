/**
 * One person's session: what is sent, what each event changes, and what survives a lost connection.
 * It must not touch the DOM, nor open sockets or devices itself: those are handed in.
 */

import { isBusyWarning, linkMessage, loadingMessage, resumedMessage, serverErrorMessage, warningMessage } from './shared/messages.js';
import { encodePacket, Shedder } from './audio/packets.js';
import { Talk } from './audio/talk.js';

/** @import { Capture, CaptureHandlers } from './audio/capture.js' */
/** @import { Link, LinkState } from './connection/server-connection.js' */
/** @import { ModelState } from './shared/messages.js' */
/** @import { Notices } from './shared/notices.js' */
/** @import { Resumed, ServerEvent } from './connection/protocol.js' */
/** @import { TalkState } from './audio/talk.js' */
/** @import { Transcript } from './transcript/transcript.js' */

/** A model that is loaded says so at once; only one that is not deserves a sentence. */
const LOADING_SENTENCE_AFTER_MS = 500;

/** What is said of a busy server goes when it no longer is, or is another one. */
const BUSY = 'busy';

/** Unsent sound up to which more is taken from a source that can wait. */
const READY_BELOW_BYTES = 32_000;

/**
 * @typedef {object} ConnectionState
 * @property {string} sessionId the server's name for this connection, or '' without one
 * @property {LinkState} link
 * @property {ModelState} model
 * @property {string} recorder the last `status`, or '' without a connection
 * @property {number | null} latencyMs
 * @property {number} unsentS sound of this stream that never left, seconds
 *
 * @typedef {TalkState & ConnectionState} SessionState what the page shows besides words and sentences
 *
 * @typedef {object} SessionParts
 * @property {Pick<Link, 'isOpen' | 'takes' | 'isCatchingUp' | 'bufferedBytes' | 'send' | 'sendPacket' | 'shed'>} link
 * @property {(handlers: CaptureHandlers) => Promise<Capture>} openMicrophone as people chose it
 * @property {Transcript} transcript
 * @property {Notices} notices
 * @property {(state: SessionState) => void} onState
 * @property {(text: string) => void} onFinal
 * @property {(samples: Float32Array) => void} onSamples every captured packet, sent or not
 * @property {() => number} [now] milliseconds
 */

export class Session {
  /** @type {SessionState} */
  #state = {
    talk: 'off',
    source: null,
    sourceLabel: '',
    sessionId: '',
    link: { phase: 'connecting', full: false, refusal: '', failures: 0, retryAtMs: 0, keepsS: 0 },
    model: 'loading',
    recorder: '',
    latencyMs: null,
    unsentS: 0,
  };
  #shedder = new Shedder();
  /** Sound of before the next connection that nobody will hear, seconds. */
  #missedS = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} when the server has given us up, as far as we know */
  #graceTimer;
  #isDegraded = false;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #loadingTimer;
  #parts;
  #now;

  /** @param {SessionParts} parts */
  constructor(parts) {
    this.#parts = parts;
    this.#now = parts.now ?? (() => performance.now());
    const { link, notices, openMicrophone } = parts;
    this.talk = new Talk({
      notices,
      openMicrophone,
      isReady: () => link.isOpen && !link.isCatchingUp && link.bufferedBytes < READY_BELOW_BYTES,
      onState: (change) => this.#become(change),
      onBegin: () => this.#begin(),
      onSamples: (samples, sampleRateHz) => this.#captured(samples, sampleRateHz),
      onEnd: () => link.send('stop'),
    });
  }

  /** Forget what was said; talking goes on. */
  clear() {
    this.#parts.transcript.clear(this.#parts.link.takes);
    this.#parts.link.send('clear');
  }

  /** @param {LinkState} link */
  linkChanged(link) {
    const wasOpen = this.#state.link.phase === 'open';
    if (wasOpen && link.phase !== 'open') {
      this.#parts.notices.resolve(BUSY);
      this.#isDegraded = false;
      this.#modelSettled();
      this.#become({ latencyMs: null });
      if (link.keepsS > 0) this.#graceTimer = setTimeout(() => this.#parts.transcript.disconnected(), link.keepsS * 1000);
      else this.#sessionEnded();
    }
    const message = linkMessage(link);
    // A first loss usually heals within a second; a sentence that flashes by would only worry people.
    const isLocked = link.phase === 'locked';
    if (isLocked || link.phase === 'open') this.#parts.notices.resolve('link');
    if (message && (isLocked || link.full || link.failures > 1)) this.#showOnce(isLocked ? 'key' : 'link', message);
    else if (link.phase === 'open') this.#parts.notices.resolve('key');
    this.#become({ link });
  }

  /** @param {number} latencyMs */
  latencyMeasured(latencyMs) {
    this.#become({ latencyMs });
  }

  /** @param {number} seconds of sound that the link was to send, and never will */
  missed(seconds) {
    this.#become({ unsentS: this.#state.unsentS + seconds });
    if (this.#parts.link.isOpen) this.#parts.transcript.missed(seconds);
    else this.#missedS += seconds;
  }

  /** @param {ServerEvent} event */
  eventArrived(event) {
    const { link, transcript, notices } = this.#parts;
    switch (event.type) {
      case 'hello':
        this.#sessionEnded();
        this.#become({ sessionId: event.sessionId });
        this.#greeted();
        break;
      case 'resumed':
        this.#resumed(event);
        break;
      case 'ready':
        this.#modelSettled();
        this.#become({ model: event.ok ? 'ready' : 'failed' });
        break;
      case 'status':
        if (this.#isDegraded && !event.degraded) notices.resolve(BUSY);
        this.#isDegraded = event.degraded;
        this.#become({ recorder: event.state });
        break;
      case 'realtime':
        transcript.realtime(event);
        break;
      case 'final':
        if (transcript.final(event)) this.#parts.onFinal(event.text);
        break;
      case 'closed':
        transcript.closed(event);
        break;
      case 'clear':
        transcript.cleared();
        break;
      case 'warning':
        notices.show(isBusyWarning(event.message) ? BUSY : `warning:${event.message}`, warningMessage(event.message));
        break;
      case 'error':
        // The link's own sentence covers a full server, and the break in the transcript a session that is gone.
        if ((event.where === 'admission' && !link.isOpen) || event.where === 'resume') break;
        notices.show(`error:${event.where}`, serverErrorMessage(event));
        break;
      case 'pong':
        break;
    }
  }

  #greeted() {
    const { link, transcript, notices } = this.#parts;
    transcript.connected(this.#missedS);
    this.#missedS = 0;
    notices.resolve('error:');
    this.#loadingTimer = setTimeout(() => notices.show('model', loadingMessage()), LOADING_SENTENCE_AFTER_MS);
    if (this.talk.isOpen) link.send('start');
  }

  /** @param {Resumed} event */
  #resumed({ missedEvents, recoveredS }) {
    clearTimeout(this.#graceTimer);
    this.#become({ unsentS: Math.max(0, this.#state.unsentS - recoveredS) });
    if (missedEvents > 0) this.#parts.notices.show('resumed', resumedMessage(missedEvents));
  }

  /** What is not final now never will be: the next session knows nothing of it. */
  #sessionEnded() {
    clearTimeout(this.#graceTimer);
    this.#parts.transcript.disconnected();
    this.#become({ recorder: '', model: 'loading', sessionId: '' });
  }

  #begin() {
    this.#shedder = new Shedder();
    this.#become({ unsentS: 0 });
    this.#parts.link.send('start');
  }

  #modelSettled() {
    clearTimeout(this.#loadingTimer);
    this.#parts.notices.resolve('model');
  }

  /**
   * @param {Float32Array} samples
   * @param {number} sampleRateHz
   */
  #captured(samples, sampleRateHz) {
    const { link, onSamples } = this.#parts;
    onSamples(samples);
    const packet = encodePacket(samples, sampleRateHz, this.#now());
    const durationS = samples.length / sampleRateHz;
    if (link.isOpen && !link.isCatchingUp && this.#shedder.drops(link.bufferedBytes, sampleRateHz)) {
      link.shed(packet, durationS);
      this.#become({ unsentS: this.#state.unsentS + durationS });
    } else if (!link.sendPacket(packet, durationS)) {
      this.missed(durationS);
    }
  }

  /**
   * @param {string} key
   * @param {import('./shared/messages.js').Message} message
   */
  #showOnce(key, message) {
    const { notices } = this.#parts;
    if (notices.list.every((notice) => notice.key !== key || notice.text !== message.text)) notices.show(key, message);
  }

  /** @param {Partial<SessionState>} change */
  #become(change) {
    this.#state = { ...this.#state, ...change };
    this.#parts.onState(this.#state);
  }
}
