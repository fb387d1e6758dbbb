/**
 * Sends frames over the socket: immediately, or after a loss the backlog first, as fast as the socket takes it, with live audio
 * behind it. It does not look into frames.
 */

/** While catching up, send only while the socket holds less: 3 s of audio at 16 kHz. More would only move the backlog there. */
const CATCH_UP_BELOW_BYTES = 96_000;
const CATCH_UP_EVERY_MS = 40;

/**
 * @typedef {object} FrameSenderParts
 * @property {() => WebSocket | null} socket the open socket; null while there is none
 * @property {() => string | ArrayBuffer | null} nextFrame the next unsent frame, or null
 * @property {() => void} onSent after each round of sending
 */

export class FrameSender {
  #isCatchingUp = false;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  #parts;

  /** @param {FrameSenderParts} parts */
  constructor(parts) {
    this.#parts = parts;
  }

  /** Whether audio from before a loss is still being sent; live audio queues behind it. */
  get isCatchingUp() {
    return this.#isCatchingUp;
  }

  /** A new connection is open. @param {boolean} hasBacklog whether frames from before it may be buffered */
  connected(hasBacklog) {
    this.#isCatchingUp = hasBacklog;
  }

  /** Send all pending frames; while catching up, only what the socket takes now, and the rest by a timer. */
  sendPending() {
    clearTimeout(this.#timer);
    const socket = this.#parts.socket();
    if (!socket) return;
    while (!this.#isCatchingUp || socket.bufferedAmount < CATCH_UP_BELOW_BYTES) {
      const frame = this.#parts.nextFrame();
      if (frame === null) {
        this.#isCatchingUp = false;
        break;
      }
      socket.send(frame);
    }
    this.#parts.onSent();
    if (this.#isCatchingUp) this.#timer = setTimeout(() => this.sendPending(), CATCH_UP_EVERY_MS);
  }

  stop() {
    clearTimeout(this.#timer);
  }
}
