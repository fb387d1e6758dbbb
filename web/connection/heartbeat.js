/**
 * Whether the other end of a connection lives: pings that must be answered, and how long the answers take.
 * It must not know sockets.
 */

export const PING_EVERY_MS = 2500;

/** With no frame for this long although we asked, the other end is gone: a sleeping laptop's socket says nothing. */
export const SILENCE_LIMIT_MS = 10_000;

/**
 * @typedef {object} HeartbeatParts
 * @property {() => number} now milliseconds, monotonic
 * @property {() => boolean} ask send a ping, if the connection stands; whether it was sent
 * @property {() => void} onSilence the other end is gone
 * @property {(latencyMs: number) => void} onLatency
 */

export class Heartbeat {
  /** @type {ReturnType<typeof setInterval> | undefined} */
  #timer;
  /** When the oldest unanswered question left, or 0. */
  #askedAtMs = 0;
  /** When the last frame came; any frame shows that the other end lives. */
  #heardAtMs = 0;
  #parts;

  /** @param {HeartbeatParts} parts */
  constructor(parts) {
    this.#parts = parts;
  }

  /** A connection is being made: that itself is a question that must be answered in time. */
  start() {
    this.#askedAtMs = this.#parts.now();
    this.#timer = setInterval(() => this.#beat(), PING_EVERY_MS);
  }

  /** A frame came. */
  heard() {
    this.#heardAtMs = this.#parts.now();
  }

  /** The connection stands. */
  opened() {
    this.#askedAtMs = 0;
  }

  /** A ping was answered. */
  answered() {
    if (this.#askedAtMs) this.#parts.onLatency(this.#parts.now() - this.#askedAtMs);
    this.#askedAtMs = 0;
  }

  stop() {
    clearInterval(this.#timer);
  }

  #beat() {
    const now = this.#parts.now();
    if (this.#askedAtMs && now - Math.max(this.#askedAtMs, this.#heardAtMs) > SILENCE_LIMIT_MS) {
      this.#parts.onSilence();
    } else if (!this.#askedAtMs && this.#parts.ask()) {
      this.#askedAtMs = now;
    }
  }
}
