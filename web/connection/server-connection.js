/**
 * The connection to the server: one WebSocket at a time, and after a loss a new one that resumes the session where possible.
 * It interprets only the messages that open a session, and never touches the DOM.
 */

import { RetryTimer } from './backoff.js';
import { FrameSender } from './frame-sender.js';
import { Heartbeat } from './heartbeat.js';
import { encodeAuth, encodeCommand, parseEvent } from './protocol.js';
import { ResumableSession } from './resumable-session.js';

/** @import { CommandName, ServerEvent } from './protocol.js' */

const CLOSE_GOING_AWAY = 1001;
const CLOSE_ABNORMAL = 1006;
const CLOSE_POLICY_VIOLATION = 1008;
const CLOSE_TRY_AGAIN_LATER = 1013;

/** The server's message where no key came in time: this page was slow, and its key may be right. */
const KEY_CAME_LATE = /key is needed within/i;

/** Tells the server that this client will resume. Any code below 4000, or none, ends the session. */
const CLOSE_WILL_RESUME = 4000;

/**
 * @typedef {'connecting' | 'open' | 'waiting' | 'locked'} ConnectionPhase
 *   `open` after `hello` or `resumed`; `waiting` until the next attempt; `locked` until the user enters a key.
 * @typedef {object} ConnectionState
 * @property {ConnectionPhase} phase
 * @property {boolean} isFull the server had no room at the last attempt
 * @property {string} rejection the server's message where it rejected the last attempt, else ''
 * @property {number} failures failed attempts in a row
 * @property {number} retryAtMs when the next attempt is due, on the clock of `now`; 0 unless waiting
 * @property {number} graceS how long the server keeps the session after a loss, seconds; 0 without a session to resume.
 *   The page buffers as much audio meanwhile.
 * @typedef {object} ConnectionHandlers
 * @property {(state: ConnectionState) => void} onState
 * @property {(event: ServerEvent) => void} onEvent every event except `pong` and `auth_required`
 * @property {(latencyMs: number) => void} onLatency round trip of a ping
 * @property {(seconds: number) => void} onAudioLost accepted audio that can no longer be delivered
 * @typedef {object} ConnectionParts what a test replaces
 * @property {() => WebSocket} openSocket
 * @property {() => string} [key] the API key, or ''
 * @property {() => number} [now] milliseconds, monotonic
 * @property {() => number} [random]
 */

export class ServerConnection {
  /** @type {WebSocket | null} */
  #socket = null;
  /** @type {ConnectionState} */
  #state = { phase: 'connecting', isFull: false, rejection: '', failures: 0, retryAtMs: 0, graceS: 0 };
  #retryTimer;
  #heartbeat;
  /** Whether this attempt sent a key. */
  #sentKey = false;
  #session;
  #sender;
  #openSocket;
  #key;
  #handlers;

  /** @param {ConnectionParts & ConnectionHandlers} parts */
  constructor({ openSocket, key = () => '', now = () => performance.now(), random = Math.random, ...handlers }) {
    this.#openSocket = openSocket;
    this.#key = key;
    this.#session = new ResumableSession(now);
    this.#retryTimer = new RetryTimer(() => this.connect(), now, random);
    this.#handlers = handlers;
    this.#sender = new FrameSender({
      socket: () => (this.isOpen ? this.#socket : null),
      nextFrame: () => this.#session.buffer.takeNext(),
      onSent: () => this.#reportLostAudio(),
    });
    this.#heartbeat = new Heartbeat({
      now,
      sendPing: () => this.#ping(),
      onTimeout: () => this.#retryLater(0),
      onLatency: (latencyMs) => handlers.onLatency(latencyMs),
    });
  }

  get isOpen() {
    return this.#state.phase === 'open';
  }

  /** Whether a frame sent now reaches the session, over this connection or a later one. */
  get canSend() {
    return this.isOpen || this.#session.canResume;
  }

  /** Whether buffered audio from before a loss is still being sent; live audio queues behind it. */
  get isCatchingUp() {
    return this.#sender.isCatchingUp;
  }

  /** Bytes that the socket has accepted and not sent yet. */
  get bufferedBytes() {
    return this.#socket?.bufferedAmount ?? 0;
  }

  /** Connect now. Does nothing while a socket is open or opening. */
  connect() {
    if (this.#socket) return;
    this.#retryTimer.cancel();
    this.#setState({ phase: 'connecting', retryAtMs: 0, rejection: '' });
    const socket = this.#openSocket();
    socket.binaryType = 'arraybuffer';
    this.#socket = socket;
    this.#sentKey = false;
    this.#heartbeat.start();
    socket.onmessage = ({ data }) => this.#receive(data);
    socket.onclose = ({ code }) => this.#socketClosed(code);
  }

  /** End this session and connect with a new one, which gets the current settings and key. */
  startNewSession() {
    this.#closeSocket();
    this.#session.abandon();
    this.connect();
  }

  /** @param {string | null} language for the next `start` and the sessions after this one; null: the server's setting */
  chooseLanguage(language) {
    this.#session.language = language;
  }

  /** @param {CommandName} command dropped unless `canSend` */
  send(command) {
    if (!this.canSend) return;
    this.#session.buffer.add(command === 'start' ? this.#session.startFrame : encodeCommand(command));
    this.#sender.sendPending();
  }

  /**
   * @param {ArrayBuffer} packet
   * @param {number} durationS
   * @returns {boolean} whether the packet is sent, or buffered until it can be sent
   */
  sendPacket(packet, durationS) {
    if (!this.canSend) return false;
    this.#session.buffer.add(packet, durationS);
    this.#sender.sendPending();
    return true;
  }

  /**
   * Skip a packet because the socket is slow. If the socket turns out to be dead, the next one sends the packet.
   *
   * @param {ArrayBuffer} packet
   * @param {number} durationS
   */
  shed(packet, durationS) {
    this.#session.buffer.add(packet, durationS, true);
  }

  #ping() {
    if (!this.isOpen) return false;
    this.#session.buffer.countUnbufferedCommand();
    this.#socket?.send(encodeCommand('ping'));
    return true;
  }

  /** @param {unknown} data */
  #receive(data) {
    this.#heartbeat.frameReceived();
    const event = typeof data === 'string' ? parseEvent(data) : null;
    if (!event) return;
    if (event.type === 'auth_required') {
      this.#authenticate();
      return;
    }
    const { events, reply } = this.#session.receive(event);
    if (reply) this.#socket?.send(reply);
    events.forEach((each) => this.#handle(each));
  }

  /** @param {ServerEvent} event */
  #handle(event) {
    switch (event.type) {
      case 'pong':
        this.#heartbeat.pongReceived();
        return;
      case 'hello':
        this.#reportLostAudio(); // `hello` ends the previous session: report its losses first
        this.#opened(this.#session.buffer.hasUnsent);
        break;
      case 'resumed':
        this.#opened(true);
        break;
      case 'error':
        if (event.where === 'admission' && !KEY_CAME_LATE.test(event.message)) this.#state.rejection = event.message;
        break;
    }
    this.#handlers.onEvent(event);
    if (event.type === 'resumed' || event.type === 'hello') this.#sender.sendPending();
  }

  /** @param {boolean} hasBacklog whether frames from before this connection may be buffered */
  #opened(hasBacklog) {
    this.#heartbeat.connected();
    this.#sender.connected(hasBacklog);
    this.#setState({ phase: 'open', isFull: false, rejection: '', failures: 0 });
  }

  #reportLostAudio() {
    const lostS = this.#session.takeLostS();
    if (lostS > 0) this.#handlers.onAudioLost(lostS);
  }

  #authenticate() {
    const key = this.#key();
    if (!key) return this.#lock();
    this.#sentKey = true;
    this.#socket?.send(encodeAuth(key));
  }

  /** Wait for another key. Retrying with a wrong one would only use up the server's limit of failed logins. */
  #lock() {
    this.#closeSocket();
    this.#setState({ phase: 'locked', isFull: false });
  }

  /** @param {number} code from the server, or CLOSE_ABNORMAL from the browser when the connection broke */
  #socketClosed(code) {
    // A server that sends a close code has ended the session. For a server that restarts (1001), the buffered audio is
    // kept all the same: the next session gets it.
    if (this.isOpen && code !== CLOSE_ABNORMAL && code !== CLOSE_GOING_AWAY) this.#session.abandon();
    const isKeyWrong = this.#sentKey && this.#state.rejection !== '' && code === CLOSE_POLICY_VIOLATION;
    if (isKeyWrong && !this.isOpen) this.#lock();
    else this.#retryLater(code);
  }

  /** @param {number} code the close code, or 0 after a heartbeat timeout */
  #retryLater(code) {
    if (!this.#socket) return;
    const isRejected = this.#state.rejection !== '' || code === CLOSE_TRY_AGAIN_LATER;
    const isFull = isRejected && !this.isOpen;
    this.#closeSocket(CLOSE_WILL_RESUME);
    const failures = this.#state.failures + 1;
    this.#setState({ phase: 'waiting', isFull, failures, retryAtMs: this.#retryTimer.schedule(failures, isFull) });
  }

  /** @param {number} [code] */
  #closeSocket(code) {
    const socket = this.#socket;
    this.#socket = null;
    this.#session.disconnected();
    this.#heartbeat.stop();
    this.#sender.stop();
    this.#retryTimer.cancel();
    if (!socket) return;
    socket.onmessage = null;
    socket.onclose = null;
    socket.close(code);
  }

  /** @param {Partial<ConnectionState>} change */
  #setState(change) {
    this.#state = { ...this.#state, ...change, graceS: this.#session.graceS };
    this.#handlers.onState({ ...this.#state });
  }
}
