/**
 * What makes one session of several connections: its token, the number of its last event, and the journal of what was sent.
 * It must not know sockets, timers or the DOM: events in, events and frames out.
 */

import { Journal } from './resend-buffer.js';
import { encodeCommand, encodeResume } from './protocol.js';

/** @import { Resumed, ServerEvent } from './protocol.js' */

const [START, CLEAR] = [encodeCommand('start'), encodeCommand('clear')];

export class Continuity {
  #token = '';
  #graceS = 0;
  #seq = 0;
  #journal = new Journal(0);
  /** @type {ServerEvent[] | null} what a new session said while the old one is asked for */
  #meanwhile = null;
  #missedS = 0;

  /** Whether there is a session to come back to. */
  get canResume() {
    return this.#token !== '';
  }

  /** Seconds of sound that are kept while not connected; 0 where no session waits for us. */
  get keepsS() {
    return this.#graceS;
  }

  get journal() {
    return this.#journal;
  }

  /** @returns {number} seconds of sound that were to be sent and never will be, since this was asked last */
  takeMissedS() {
    const missedS = this.#missedS + this.#journal.forgottenS();
    this.#missedS = 0;
    return missedS;
  }

  /**
   * @param {ServerEvent} event
   * @returns {{events: ServerEvent[], answer: string}} what is new to our session, and the frame to send, or ''
   */
  arrived(event) {
    if (event.type === 'resumed') return { events: this.#meanwhile ? [this.#resume(event)] : [], answer: '' };
    if (this.#meanwhile) {
      this.#meanwhile.push(event);
      return { events: event.type === 'error' && event.where === 'resume' ? this.#beginAnew(this.#meanwhile) : [], answer: '' };
    }
    if (event.type === 'hello' && this.canResume) {
      this.#meanwhile = [event];
      return { events: [], answer: encodeResume(this.#token, this.#seq) };
    }
    return { events: this.#isNews(event) ? [event] : [], answer: '' };
  }

  /** The connection is gone; the session waits for the next. */
  disconnected() {
    this.#meanwhile = null;
  }

  /** The session is over for us. */
  abandon() {
    this.#missedS = this.#journal.unsent().reduce((sum, { durationS }) => sum + durationS, this.takeMissedS());
    [this.#token, this.#graceS, this.#seq, this.#journal] = ['', 0, 0, new Journal(0)];
  }

  /** @param {ServerEvent} event */
  #isNews(event) {
    if (event.type === 'hello') {
      this.abandon();
      [this.#token, this.#graceS] = [event.resumeToken, event.resumeToken ? event.resumeGraceS : 0];
      this.#journal = new Journal(this.#graceS);
    } else if (event.seq !== undefined && event.seq <= this.#seq) {
      return false; // it came over an earlier connection
    }
    this.#seq = event.seq ?? this.#seq;
    return true;
  }

  /** @param {ServerEvent[]} events of the new session that goes on and hears what waits, for the old one is gone */
  #beginAnew(events) {
    this.#meanwhile = null;
    const unsent = this.#journal.unsent();
    const wanted = unsent.slice(unsent.findLastIndex(({ frame }) => frame === CLEAR) + 1);
    const news = events.filter((event) => this.#isNews(event));
    this.#journal.passing(); // the server counts the `resume` that it refused
    if (wanted.length > 0 && typeof wanted[0].frame !== 'string') this.#journal.add(START);
    wanted.forEach(({ frame, durationS }) => this.#journal.add(frame, durationS));
    return news;
  }

  /**
   * @param {Resumed} event
   * @returns {Resumed}
   */
  #resume(event) {
    this.#meanwhile = null;
    const { missedS, recoveredS } = this.#journal.rebase(event.receivedPackets, event.receivedCommands);
    this.#missedS += missedS;
    return { ...event, recoveredS };
  }
}
