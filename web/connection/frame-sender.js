/**
 * What goes out over a socket: at once, or, after a loss, what was kept before, as fast as the socket takes it, with live
 * sound behind it. It must not know what is in a frame.
 */

const CATCH_UP_BELOW_BYTES = 96_000;
const CATCH_UP_EVERY_MS = 40;

/**
 * @typedef {object} OutflowParts
 * @property {() => WebSocket | null} socket the one that stands; null while none does
 * @property {() => string | ArrayBuffer | null} take the next frame, or null when there is none
 * @property {() => void} onPumped
 */

export class Outflow {
  #isCatchingUp = false;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  #parts;

  /** @param {OutflowParts} parts */
  constructor(parts) {
    this.#parts = parts;
  }

  /** Whether sound from before a loss still goes out, with all that comes now behind it. */
  get isCatchingUp() {
    return this.#isCatchingUp;
  }

  /** Another connection stands; `behind` when there may be frames from before it. @param {boolean} behind */
  opened(behind) {
    this.#isCatchingUp = behind;
  }

  /** Send what there is, and go on later with what the socket does not take now. */
  pump() {
    clearTimeout(this.#timer);
    const socket = this.#parts.socket();
    if (!socket) return;
    while (!this.#isCatchingUp || socket.bufferedAmount < CATCH_UP_BELOW_BYTES) {
      const frame = this.#parts.take();
      if (frame === null) {
        this.#isCatchingUp = false;
        break;
      }
      socket.send(frame);
    }
    this.#parts.onPumped();
    if (this.#isCatchingUp) this.#timer = setTimeout(() => this.pump(), CATCH_UP_EVERY_MS);
  }

  stop() {
    clearTimeout(this.#timer);
  }
}
