/**
 * One session over several connections: its resume token, the number of its last event, and the buffer of sent frames.
 * It knows no sockets, timers or DOM: events come in, events and frames go out.
 */

import { encodeCommand, encodeResume } from './protocol.js';
import { ResendBuffer } from './resend-buffer.js';

/** @import { Resumed, ServerEvent } from './protocol.js' */

const [START, CLEAR] = [encodeCommand('start'), encodeCommand('clear')];

export class ResumableSession {
  #token = '';
  #graceS = 0;
  /** Number of the last event received. */
  #seq = 0;
  #buffer = new ResendBuffer(0);
  /** @type {ServerEvent[] | null} events of the new session, held back until the server answers `resume`; else null */
  #heldEvents = null;
  #lostS = 0;

  /** Whether there is a session to resume. */
  get canResume() {
    return this.#token !== '';
  }

  /** How long the server keeps the session after a loss, seconds; 0 without a session to resume. */
  get graceS() {
    return this.#graceS;
  }

  get buffer() {
    return this.#buffer;
  }

  /** @returns {number} accepted audio that can no longer be delivered, seconds, since the last call */
  takeLostS() {
    const lostS = this.#lostS + this.#buffer.takeLostS();
    this.#lostS = 0;
    return lostS;
  }

  /**
   * @param {ServerEvent} event
   * @returns {{events: ServerEvent[], reply: string}} events that are new to the session, and a frame to send, or ''
   */
  receive(event) {
    if (event.type === 'resumed') return { events: this.#heldEvents ? [this.#resume(event)] : [], reply: '' };
    if (this.#heldEvents) {
      this.#heldEvents.push(event);
      const isRejected = event.type === 'error' && event.where === 'resume';
      return { events: isRejected ? this.#adoptNewSession(this.#heldEvents) : [], reply: '' };
    }
    if (event.type === 'hello' && this.canResume) {
      this.#heldEvents = [event];
      return { events: [], reply: encodeResume(this.#token, this.#seq) };
    }
    return { events: this.#isNew(event) ? [event] : [], reply: '' };
  }

  /** The connection is lost; the session waits for the next one. */
  disconnected() {
    this.#heldEvents = null;
  }

  /** Forget the session. What was not sent counts as lost. */
  abandon() {
    this.#lostS = this.#buffer.takeUnsent().reduce((sum, { durationS }) => sum + durationS, this.takeLostS());
    [this.#token, this.#graceS, this.#seq, this.#buffer] = ['', 0, 0, new ResendBuffer(0)];
  }

  /** @param {ServerEvent} event a `hello` starts a new session */
  #isNew(event) {
    if (event.type === 'hello') {
      this.abandon();
      [this.#token, this.#graceS] = [event.resumeToken, event.resumeToken ? event.resumeGraceS : 0];
      this.#buffer = new ResendBuffer(this.#graceS);
    } else if (event.seq !== undefined && event.seq <= this.#seq) {
      return false; // already received over an earlier connection
    }
    this.#seq = event.seq ?? this.#seq;
    return true;
  }

  /**
   * The server no longer has the session: continue with the new one, and give it the frames that were never sent.
   *
   * @param {ServerEvent[]} events of the new session
   */
  #adoptNewSession(events) {
    this.#heldEvents = null;
    const unsent = this.#buffer.takeUnsent();
    // A `clear` discards what was said before it, and the new session has nothing to clear.
    const wanted = unsent.slice(unsent.findLastIndex(({ frame }) => frame === CLEAR) + 1);
    const newEvents = events.filter((event) => this.#isNew(event)); // its `hello` makes a new buffer
    this.#buffer.countUnbufferedCommand(); // the server counts the `resume` that it rejected
    // The old session's `start` was sent and is gone: without one, the new session would ignore the audio.
    if (wanted.length > 0 && typeof wanted[0].frame !== 'string') this.#buffer.add(START);
    wanted.forEach(({ frame, durationS }) => this.#buffer.add(frame, durationS));
    return newEvents;
  }

  /**
   * @param {Resumed} event
   * @returns {Resumed}
   */
  #resume(event) {
    this.#heldEvents = null;
    const { lostS, recoveredS } = this.#buffer.resendAfter(event.receivedPackets, event.receivedCommands);
    this.#lostS += lostS;
    return { ...event, recoveredS };
  }
}
