/**
 * Detects a dead connection by pings that the server must answer, and measures their round trip. It knows no sockets.
 */

export const PING_EVERY_MS = 2500;

/** No frame for this long despite a ping: the connection is dead. After a laptop's sleep the socket itself reports nothing. */
export const SILENCE_TIMEOUT_MS = 10_000;

/**
 * @typedef {object} HeartbeatParts
 * @property {() => number} now milliseconds, monotonic
 * @property {() => boolean} sendPing sends a ping if the connection is open; returns whether it was sent
 * @property {() => void} onTimeout the connection is dead
 * @property {(latencyMs: number) => void} onLatency round trip of a ping
 */

export class Heartbeat {
  /** @type {ReturnType<typeof setInterval> | undefined} */
  #timer;
  /** When the oldest unanswered ping was sent, or the connection attempt began; 0 if nothing is unanswered. */
  #waitingSinceMs = 0;
  #lastFrameAtMs = 0;
  #parts;

  /** @param {HeartbeatParts} parts */
  constructor(parts) {
    this.#parts = parts;
  }

  /** A connection attempt begins. Like a ping, it must be answered in time. */
  start() {
    this.#waitingSinceMs = this.#parts.now();
    this.#timer = setInterval(() => this.#check(), PING_EVERY_MS);
  }

  /** Any frame shows that the server is alive. */
  frameReceived() {
    this.#lastFrameAtMs = this.#parts.now();
  }

  connected() {
    this.#waitingSinceMs = 0;
  }

  pongReceived() {
    if (this.#waitingSinceMs) this.#parts.onLatency(this.#parts.now() - this.#waitingSinceMs);
    this.#waitingSinceMs = 0;
  }

  stop() {
    clearInterval(this.#timer);
  }

  #check() {
    const now = this.#parts.now();
    if (this.#waitingSinceMs && now - Math.max(this.#waitingSinceMs, this.#lastFrameAtMs) > SILENCE_TIMEOUT_MS) {
      this.#parts.onTimeout();
    } else if (!this.#waitingSinceMs && this.#parts.sendPing()) {
      this.#waitingSinceMs = now;
    }
  }
}
