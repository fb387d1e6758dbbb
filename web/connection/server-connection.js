/**
 * The link to the server: one WebSocket at a time, and after a loss a new one in the same session, where there still is one.
 * It must not know what is said over it beyond what opens it, and never touches the DOM.
 */

import { Retry } from './backoff.js';
import { Continuity } from './resumable-session.js';
import { Heartbeat } from './heartbeat.js';
import { Outflow } from './frame-sender.js';
import { encodeAuth, encodeCommand, parseEvent } from './protocol.js';

/** @import { CommandName, ServerEvent } from './protocol.js' */

const CLOSE_GOING_AWAY = 1001;
const CLOSE_BROKEN = 1006;
const CLOSE_POLICY = 1008;
const CLOSE_TRY_AGAIN_LATER = 1013;

/** To the server every code below 4000, and none, is a goodbye that ends the session. */
const CLOSE_COMING_BACK = 4000;

/**
 * @typedef {'connecting' | 'open' | 'waiting' | 'locked'} LinkPhase
 *   `open` once `hello` or `resumed` came; `waiting` until the next attempt; `locked` until there is a (right) key.
 * @typedef {object} LinkState
 * @property {LinkPhase} phase
 * @property {boolean} full the server had no room at the last attempt
 * @property {string} refusal the server's words at the last attempt, where it refused us
 * @property {number} failures attempts that failed in a row
 * @property {number} retryAtMs when the next attempt is due, on the clock of `now`; 0 unless waiting
 * @property {number} keepsS seconds of sound that are kept while not connected; 0 where no session waits for us
 * @typedef {object} LinkHandlers
 * @property {(state: LinkState) => void} onState
 * @property {(event: ServerEvent) => void} onEvent every event but `pong` and what asks for a key
 * @property {(latencyMs: number) => void} onLatency
 * @property {(seconds: number) => void} onMissed sound that was to be sent, and never will be
 * @typedef {object} LinkParts what a test replaces
 * @property {() => WebSocket} openSocket
 * @property {() => string} [key] the key to the server, or ''
 * @property {() => number} [now] milliseconds, monotonic
 * @property {() => number} [random]
 */

export class Link {
  /** @type {WebSocket | null} */
  #socket = null;
  /** @type {LinkState} */
  #state = { phase: 'connecting', full: false, refusal: '', failures: 0, retryAtMs: 0, keepsS: 0 };
  #retry;
  #heartbeat;
  /** Whether this attempt showed a key. */
  #showedKey = false;
  #session = new Continuity();
  #outflow;
  #openSocket;
  #key;
  #handlers;

  /** @param {LinkParts & LinkHandlers} parts */
  constructor({ openSocket, key = () => '', now = () => performance.now(), random = Math.random, ...handlers }) {
    this.#openSocket = openSocket;
    this.#key = key;
    this.#retry = new Retry(() => this.connect(), now, random);
    this.#handlers = handlers;
    this.#outflow = new Outflow({
      socket: () => (this.isOpen ? this.#socket : null),
      take: () => this.#session.journal.take(),
      onPumped: () => this.#tellMissed(),
    });
    this.#heartbeat = new Heartbeat({
      now,
      ask: () => this.#ping(),
      onSilence: () => this.#lose(0),
      onLatency: (latencyMs) => handlers.onLatency(latencyMs),
    });
  }

  get isOpen() {
    return this.#state.phase === 'open';
  }

  /** Whether what is sent now arrives, be it over a later connection. */
  get takes() {
    return this.isOpen || this.#session.canResume;
  }

  /** Whether sound from before a loss still goes out, with all that comes now behind it. */
  get isCatchingUp() {
    return this.#outflow.isCatchingUp;
  }

  /** Bytes that were handed over and not sent yet. */
  get bufferedBytes() {
    return this.#socket?.bufferedAmount ?? 0;
  }

  /** Connect now; does nothing while a connection stands or is being made. */
  connect() {
    if (this.#socket) return;
    this.#retry.cancel();
    this.#become({ phase: 'connecting', retryAtMs: 0, refusal: '' });
    const socket = this.#openSocket();
    socket.binaryType = 'arraybuffer';
    this.#socket = socket;
    this.#showedKey = false;
    this.#heartbeat.start();
    socket.onmessage = ({ data }) => this.#receive(data);
    socket.onclose = ({ code }) => this.#closed(code);
  }

  /** Give up this connection and its session, and make another at once: what holds for new sessions then holds for us. */
  renew() {
    this.#leave();
    this.#session.abandon();
    this.connect();
  }

  /** @param {CommandName} command sent where the link `takes` it */
  send(command) {
    if (!this.takes) return;
    this.#session.journal.add(encodeCommand(command));
    this.#outflow.pump();
  }

  /**
   * @param {ArrayBuffer} packet
   * @param {number} durationS
   * @returns {boolean} whether it is sent, or kept to be sent
   */
  sendPacket(packet, durationS) {
    if (!this.takes) return false;
    this.#session.journal.add(packet, durationS);
    this.#outflow.pump();
    return true;
  }

  /**
   * Leave a packet out, for the socket is slow; should it turn out to be dead, the packet is sent over the next one.
   *
   * @param {ArrayBuffer} packet
   * @param {number} durationS
   */
  shed(packet, durationS) {
    this.#session.journal.add(packet, durationS, true);
  }

  #ping() {
    if (!this.isOpen) return false;
    this.#session.journal.passing();
    this.#socket?.send(encodeCommand('ping'));
    return true;
  }

  /** @param {unknown} data */
  #receive(data) {
    this.#heartbeat.heard();
    const event = typeof data === 'string' ? parseEvent(data) : null;
    if (!event) return;
    if (event.type === 'auth_required') {
      this.#showKey();
      return;
    }
    const { events, answer } = this.#session.arrived(event);
    if (answer) this.#socket?.send(answer);
    events.forEach((each) => this.#hear(each));
  }

  /** @param {ServerEvent} event */
  #hear(event) {
    switch (event.type) {
      case 'pong':
        this.#heartbeat.answered();
        return;
      case 'hello':
        this.#tellMissed(); // it is the end of the session before
        this.#opened(this.#session.journal.isBehind);
        break;
      case 'resumed':
        this.#opened(true);
        break;
      case 'error':
        if (event.where === 'admission') this.#state.refusal = event.message;
        break;
    }
    this.#handlers.onEvent(event);
    if (event.type === 'resumed' || event.type === 'hello') this.#outflow.pump();
  }

  /** @param {boolean} behind whether there are frames from before */
  #opened(behind) {
    this.#heartbeat.opened();
    this.#outflow.opened(behind);
    this.#become({ phase: 'open', full: false, refusal: '', failures: 0 });
  }

  #tellMissed() {
    const missedS = this.#session.takeMissedS();
    if (missedS > 0) this.#handlers.onMissed(missedS);
  }

  #showKey() {
    const key = this.#key();
    if (!key) return this.#lock();
    this.#showedKey = true;
    this.#socket?.send(encodeAuth(key));
  }

  /** There is no right key, and trying again with a wrong one would only count against us. */
  #lock() {
    this.#leave();
    this.#become({ phase: 'locked', full: false });
  }

  /** @param {number} code the server's, or the browser's for a connection that broke */
  #closed(code) {
    // Who says why it closes has ended the session. A server that goes away has, too, but the next one hears what is kept.
    if (this.isOpen && code !== CLOSE_BROKEN && code !== CLOSE_GOING_AWAY) this.#session.abandon();
    if (this.#showedKey && !this.isOpen && code === CLOSE_POLICY) this.#lock();
    else this.#lose(code);
  }

  /** @param {number} code the close code, or 0 where we gave up on a silent socket */
  #lose(code) {
    if (!this.#socket) return;
    const isRefused = this.#state.refusal !== '' || code === CLOSE_TRY_AGAIN_LATER;
    const full = isRefused && !this.isOpen;
    this.#leave(CLOSE_COMING_BACK);
    const failures = this.#state.failures + 1;
    this.#become({ phase: 'waiting', full, failures, retryAtMs: this.#retry.plan(failures, full) });
  }

  /** @param {number} [code] */
  #leave(code) {
    const socket = this.#socket;
    this.#socket = null;
    this.#session.disconnected();
    this.#heartbeat.stop();
    this.#outflow.stop();
    this.#retry.cancel();
    if (!socket) return;
    socket.onmessage = null;
    socket.onclose = null;
    socket.close(code);
  }

  /** @param {Partial<LinkState>} change */
  #become(change) {
    this.#state = { ...this.#state, ...change, keepsS: this.#session.keepsS };
    this.#handlers.onState({ ...this.#state });
  }
}
