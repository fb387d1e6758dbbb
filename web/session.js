/**
 * The page's session: what it sends, how each event changes the page's state, and what survives a lost connection.
 * It never touches the DOM and opens no sockets or devices: it gets them as parts.
 */

import { LoadShedder, encodePacket } from './audio/packets.js';
import { TalkController } from './audio/talk.js';
import {
  connectionMessage,
  isBusyWarning,
  loadingMessage,
  resumedMessage,
  serverErrorMessage,
  warningMessage,
} from './shared/messages.js';

/** @import { Capture, CaptureHandlers } from './audio/capture.js' */
/** @import { TalkState } from './audio/talk.js' */
/** @import { Resumed, ServerEvent } from './connection/protocol.js' */
/** @import { ConnectionState, ServerConnection } from './connection/server-connection.js' */
/** @import { Message, ModelState } from './shared/messages.js' */
/** @import { Notices } from './shared/notices.js' */
/** @import { Transcript } from './transcript/transcript.js' */

/** A loaded model reports `ready` at once; only a longer wait gets a message. */
const LOADING_MESSAGE_AFTER_MS = 500;

/** Key of the notice about a busy server, which goes when the load or the connection does. */
const BUSY = 'busy';

/** A source that can wait, such as a file, sends only while the socket holds less: 1 s of audio at 16 kHz. */
const READY_BELOW_BYTES = 32_000;

/**
 * @typedef {object} ServerStatus
 * @property {string} sessionId '' without a session
 * @property {ConnectionState} connection
 * @property {ModelState} model
 * @property {string} recorder state in the last `status` event; '' without a connection
 * @property {number | null} latencyMs
 * @property {number} unsentS audio of this stream that was not sent, seconds
 *
 * @typedef {TalkState & ServerStatus} SessionState what the page shows besides transcript and notices
 *
 * @typedef {object} SessionParts
 * @property {Pick<ServerConnection, 'isOpen' | 'canSend' | 'isCatchingUp' | 'bufferedBytes' | 'send' | 'sendPacket' | 'shed'>} connection
 * @property {(handlers: CaptureHandlers) => Promise<Capture>} openMicrophone with the user's preferences
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
    connection: { phase: 'connecting', isFull: false, rejection: '', failures: 0, retryAtMs: 0, graceS: 0 },
    model: 'loading',
    recorder: '',
    latencyMs: null,
    unsentS: 0,
  };
  #shedder = new LoadShedder();
  /** Audio lost while not connected, seconds; the break that the next session adds to the transcript shows it. */
  #lostS = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} fires when the server has dropped the session */
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
    const { connection, notices, openMicrophone } = parts;
    this.talk = new TalkController({
      notices,
      openMicrophone,
      isReady: () => connection.isOpen && !connection.isCatchingUp && connection.bufferedBytes < READY_BELOW_BYTES,
      onState: (change) => this.#setState(change),
      onBegin: () => this.#streamBegins(),
      onSamples: (samples, sampleRateHz) => this.#samplesCaptured(samples, sampleRateHz),
      onEnd: () => connection.send('stop'),
    });
  }

  /** Clear the transcript, here and on the server; talking continues. */
  clear() {
    this.#parts.transcript.clear(this.#parts.connection.canSend);
    this.#parts.connection.send('clear');
  }

  /** @param {ConnectionState} connection */
  connectionChanged(connection) {
    const wasOpen = this.#state.connection.phase === 'open';
    if (wasOpen && connection.phase !== 'open') this.#connectionLost(connection.graceS);
    this.#showConnectionNotice(connection);
    this.#setState({ connection });
  }

  /** @param {number} latencyMs */
  latencyMeasured(latencyMs) {
    this.#setState({ latencyMs });
  }

  /** @param {number} seconds of audio that can no longer be delivered */
  audioLost(seconds) {
    this.#setState({ unsentS: this.#state.unsentS + seconds });
    if (this.#parts.connection.isOpen) this.#parts.transcript.audioLost(seconds);
    else this.#lostS += seconds;
  }

  /** @param {ServerEvent} event */
  eventReceived(event) {
    const { connection, transcript, notices } = this.#parts;
    switch (event.type) {
      case 'hello':
        this.#sessionEnded();
        this.#setState({ sessionId: event.sessionId });
        this.#sessionStarted(event.replacesFrom);
        break;
      case 'resumed':
        this.#sessionResumed(event);
        break;
      case 'ready':
        this.#endLoadingNotice();
        this.#setState({ model: event.ok ? 'ready' : 'failed' });
        break;
      case 'status':
        if (this.#isDegraded && !event.degraded) notices.resolve(BUSY);
        this.#isDegraded = event.degraded;
        this.#setState({ recorder: event.state });
        break;
      case 'realtime':
        transcript.realtime(event);
        break;
      case 'final':
        if (transcript.final(event)) this.#parts.onFinal(event.text);
        break;
      case 'turn_resumed':
        transcript.turnResumed(event);
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
        // The connection's own notice covers a full server, and the break in the transcript a session that is gone.
        if ((event.where === 'admission' && !connection.isOpen) || event.where === 'resume') break;
        notices.show(`error:${event.where}`, serverErrorMessage(event));
        break;
      case 'pong':
        break;
    }
  }

  /** @param {number} graceS how long the server keeps the session */
  #connectionLost(graceS) {
    this.#parts.notices.resolve(BUSY);
    this.#isDegraded = false;
    this.#endLoadingNotice();
    this.#setState({ latencyMs: null });
    if (graceS > 0) this.#graceTimer = setTimeout(() => this.#parts.transcript.disconnected(), graceS * 1000);
    else this.#sessionEnded();
  }

  /** @param {ConnectionState} connection */
  #showConnectionNotice(connection) {
    const { notices } = this.#parts;
    const isLocked = connection.phase === 'locked';
    const isOpen = connection.phase === 'open';
    if (isLocked || isOpen) notices.resolve('connection');
    if (isOpen) notices.resolve('key');
    const message = connectionMessage(connection, this.#state.talk !== 'off');
    // The first reconnect usually succeeds within a second; a message that flashes by would only worry the user.
    const isWorthShowing = isLocked || connection.isFull || connection.failures > 1;
    if (message && isWorthShowing) this.#showOnce(isLocked ? 'key' : 'connection', message);
  }

  /** @param {number} replacesFrom as in `Hello` */
  #sessionStarted(replacesFrom) {
    const { connection, transcript, notices } = this.#parts;
    transcript.connected(this.#lostS, replacesFrom);
    this.#lostS = 0;
    notices.resolve('error:');
    this.#loadingTimer = setTimeout(() => notices.show('model', loadingMessage()), LOADING_MESSAGE_AFTER_MS);
    if (this.talk.isOpen) connection.send('start');
  }

  /** @param {Resumed} event */
  #sessionResumed({ missedEvents, recoveredS }) {
    clearTimeout(this.#graceTimer);
    this.#setState({ unsentS: Math.max(0, this.#state.unsentS - recoveredS) });
    if (missedEvents > 0) this.#parts.notices.show('resumed', resumedMessage(missedEvents));
  }

  /** The next session knows nothing of this one, so words that are not final stay without a final. */
  #sessionEnded() {
    clearTimeout(this.#graceTimer);
    this.#parts.transcript.disconnected();
    this.#setState({ recorder: '', model: 'loading', sessionId: '' });
  }

  #streamBegins() {
    this.#shedder = new LoadShedder();
    this.#setState({ unsentS: 0 });
    this.#parts.connection.send('start');
  }

  #endLoadingNotice() {
    clearTimeout(this.#loadingTimer);
    this.#parts.notices.resolve('model');
  }

  /**
   * @param {Float32Array} samples
   * @param {number} sampleRateHz
   */
  #samplesCaptured(samples, sampleRateHz) {
    const { connection, onSamples } = this.#parts;
    onSamples(samples);
    const packet = encodePacket(samples, sampleRateHz, this.#now());
    const durationS = samples.length / sampleRateHz;
    const isLive = connection.isOpen && !connection.isCatchingUp;
    if (isLive && this.#shedder.shouldShed(connection.bufferedBytes, sampleRateHz)) {
      connection.shed(packet, durationS);
      this.#setState({ unsentS: this.#state.unsentS + durationS });
    } else if (!connection.sendPacket(packet, durationS)) {
      this.audioLost(durationS);
    }
  }

  /**
   * Show a message without counting a repeat: the connection reports its state more often than it changes.
   *
   * @param {string} key
   * @param {Message} message
   */
  #showOnce(key, message) {
    const { notices } = this.#parts;
    if (notices.list.every((notice) => notice.key !== key || notice.text !== message.text)) notices.show(key, message);
  }

  /** @param {Partial<SessionState>} change */
  #setState(change) {
    this.#state = { ...this.#state, ...change };
    this.#parts.onState(this.#state);
  }
}
