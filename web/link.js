/**
 * The link to the server: one WebSocket at a time, its heart-beat, and a new one after a loss.
 * It must not know what is said over it beyond `hello`, admission and `pong`, and never touches the DOM.
 */

import { retryDelayMs } from './backoff.js';
import { encodeCommand, parseEvent } from './protocol.js';

/** @import { CommandName, ServerEvent } from './protocol.js' */

export const PING_EVERY_MS = 2500;

/** With no frame for this long although we asked, the other end is gone: a sleeping laptop's socket says nothing. */
export const SILENCE_LIMIT_MS = 10_000;

const CLOSE_TRY_AGAIN_LATER = 1013;

/**
 * @typedef {'connecting' | 'open' | 'waiting'} LinkPhase
 *   `open` once `hello` came; `waiting` until the next attempt.
 *
 * @typedef {object} LinkState
 * @property {LinkPhase} phase
 * @property {boolean} full the server had no room at the last attempt
 * @property {number} failures attempts that failed in a row
 * @property {number} retryAtMs when the next attempt is due, on the clock of `now`; 0 unless waiting
 *
 * @typedef {object} LinkHandlers
 * @property {(state: LinkState) => void} onState
 * @property {(event: ServerEvent) => void} onEvent every event but `pong`
 * @property {(latencyMs: number) => void} onLatency
 *
 * @typedef {object} LinkParts what a test replaces
 * @property {() => WebSocket} openSocket
 * @property {() => number} [now] milliseconds, monotonic
 * @property {() => number} [random]
 */

export class Link {
  /** @type {WebSocket | null} */
  #socket = null;
  /** @type {LinkState} */
  #state = { phase: 'connecting', full: false, failures: 0, retryAtMs: 0 };
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #retryTimer;
  /** @type {ReturnType<typeof setInterval> | undefined} */
  #pingTimer;
  /** When the oldest unanswered ping left, or 0. */
  #askedAtMs = 0;
  /** When the last frame came; any frame shows that the other end lives. */
  #heardAtMs = 0;
  /** Whether this attempt was refused for want of room. */
  #refused = false;
  #openSocket;
  #now;
  #random;
  #handlers;

  /** @param {LinkParts & LinkHandlers} parts */
  constructor({ openSocket, now = () => performance.now(), random = Math.random, ...handlers }) {
    this.#openSocket = openSocket;
    this.#now = now;
    this.#random = random;
    this.#handlers = handlers;
  }

  get isOpen() {
    return this.#state.phase === 'open';
  }

  /** Bytes that were handed over and not sent yet. */
  get bufferedBytes() {
    return this.#socket?.bufferedAmount ?? 0;
  }

  /** Connect now; does nothing while a connection stands or is being made. */
  connect() {
    if (this.#socket) return;
    clearTimeout(this.#retryTimer);
    this.#become({ phase: 'connecting', retryAtMs: 0 });
    const socket = this.#openSocket();
    socket.binaryType = 'arraybuffer';
    this.#socket = socket;
    this.#refused = false;
    this.#askedAtMs = this.#now(); // the connection itself is a question that must be answered in time
    this.#pingTimer = setInterval(() => this.#beat(), PING_EVERY_MS);
    socket.onmessage = ({ data }) => this.#receive(data);
    socket.onclose = ({ code }) => this.#lose(code);
  }

  /** Give up this connection and make another at once: what holds for new sessions then holds for us, too. */
  renew() {
    this.#lose(0);
    this.connect();
  }

  /**
   * @param {CommandName} command sent only while the link is open
   */
  send(command) {
    if (this.isOpen) this.#socket?.send(encodeCommand(command));
  }

  /** @param {ArrayBuffer} packet sent only while the link is open */
  sendPacket(packet) {
    if (this.isOpen) this.#socket?.send(packet);
  }

  #beat() {
    const now = this.#now();
    if (this.#askedAtMs && now - Math.max(this.#askedAtMs, this.#heardAtMs) > SILENCE_LIMIT_MS) {
      this.#lose(0);
    } else if (this.isOpen && !this.#askedAtMs) {
      this.#askedAtMs = now;
      this.send('ping');
    }
  }

  /** @param {unknown} data */
  #receive(data) {
    this.#heardAtMs = this.#now();
    const event = typeof data === 'string' ? parseEvent(data) : null;
    if (!event) return;
    if (event.type === 'pong') {
      if (this.#askedAtMs) this.#handlers.onLatency(this.#now() - this.#askedAtMs);
      this.#askedAtMs = 0;
      return;
    }
    if (event.type === 'hello') {
      this.#askedAtMs = 0;
      this.#become({ phase: 'open', full: false, failures: 0 });
    } else if (event.type === 'error' && event.where === 'admission') {
      this.#refused = true;
    }
    this.#handlers.onEvent(event);
  }

  /** @param {number} code the close code, or 0 where we gave up on a silent socket */
  #lose(code) {
    const socket = this.#socket;
    if (!socket) return;
    this.#socket = null;
    clearInterval(this.#pingTimer);
    socket.onmessage = null;
    socket.onclose = null;
    socket.close();
    const full = this.#refused || (code === CLOSE_TRY_AGAIN_LATER && !this.isOpen);
    const failures = this.#state.failures + 1;
    const delayMs = retryDelayMs(failures, { full, random: this.#random });
    this.#retryTimer = setTimeout(() => this.connect(), delayMs);
    this.#become({ phase: 'waiting', full, failures, retryAtMs: this.#now() + delayMs });
  }

  /** @param {Partial<LinkState>} change */
  #become(change) {
    this.#state = { ...this.#state, ...change };
    this.#handlers.onState({ ...this.#state });
  }
}
