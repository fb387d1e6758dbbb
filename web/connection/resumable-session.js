/**
 * One session over several connections: its resume token, the number of its last event, and the buffer of sent frames.
 * It knows no sockets, timers or DOM: events come in, events and frames go out.
 */

import { encodeCommand, encodeResume, encodeStart } from './protocol.js';
import { ResendBuffer } from './resend-buffer.js';

/** @import { Resumed, SegmentTimes, ServerEvent } from './protocol.js' */

/**
 * @typedef {object} Segment what the page shows of a segment; positions in the audio of the session, seconds
 * @property {number} startS where its speech begins
 * @property {number} shownS where the audio of its words ends; 0 without words, Infinity where the server does not tell
 * @property {boolean} isFinal whether it has its final text, or will have none
 */

/** The server dates the start of a segment when speech is confirmed: about this much audio later. */
const CONFIRMED_AFTER_S = 0.3;

/** Audio before a segment that is sent again with it: the server takes its first sounds from there. */
const LEAD_S = 1;

/** Segments remembered: many more than can wait for their final text at a time. */
const MAX_SEGMENTS = 100;

const CLEAR = encodeCommand('clear');

export class ResumableSession {
  #token = '';
  #graceS = 0;
  /** Number of the last event received. */
  #seq = 0;
  #buffer;
  #now;
  /** @type {ServerEvent[] | null} events of the new session, held back until the server answers `resume`; else null */
  #heldEvents = null;
  #lostS = 0;
  /** @type {Map<number, Segment>} the newest ones, by id */
  #segments = new Map();
  /** The server's clock minus the page's, seconds: the largest difference seen, which includes the shortest delay. */
  #clockOffsetS = -Infinity;

  /** @type {string | null | undefined} chosen for this page's sessions; null: the server's setting, undefined: never chosen */
  language;

  /** @param {() => number} [now] milliseconds, monotonic */
  constructor(now = () => performance.now()) {
    this.#now = now;
    this.#buffer = this.#makeBuffer();
  }

  get startFrame() {
    return encodeStart(this.language);
  }

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
    return { events: this.#isNew(event) ? [this.#noted(event)] : [], reply: '' };
  }

  /** The connection is lost; the session waits for the next one. */
  disconnected() {
    this.#heldEvents = null;
  }

  /** Forget the session. What was not sent counts as lost. */
  abandon() {
    this.#lostS = this.#buffer.takeFrom(Infinity).reduce((sum, { durationS }) => sum + durationS, this.takeLostS());
    [this.#token, this.#graceS, this.#seq] = ['', 0, 0];
    this.#buffer = this.#makeBuffer();
    this.#segments.clear();
    this.#clockOffsetS = -Infinity;
  }

  #makeBuffer() {
    return new ResendBuffer(this.#graceS, undefined, this.#now);
  }

  /** @param {ServerEvent} event a `hello` starts a new session */
  #isNew(event) {
    if (event.type === 'hello') {
      this.abandon();
      [this.#token, this.#graceS] = [event.resumeToken, event.resumeToken ? event.resumeGraceS : 0];
      this.#buffer = this.#makeBuffer();
    } else if (event.seq !== undefined && event.seq <= this.#seq) {
      return false; // already received over an earlier connection
    }
    this.#seq = event.seq ?? this.#seq;
    return true;
  }

  /**
   * Remember which audio has its final text, and date segments by their capture.
   *
   * @param {ServerEvent} event
   * @returns {ServerEvent}
   */
  #noted(event) {
    if (event.type === 'clear') {
      this.#segments.forEach(({ isFinal }, id) => isFinal || this.#segments.delete(id));
      this.#hold();
    }
    if (event.type === 'status' && event.at !== null) {
      this.#clockOffsetS = Math.max(this.#clockOffsetS, event.at - this.#now() / 1000);
    }
    if (event.type === 'turn_resumed') this.#reopen(event.segmentId);
    if (!('segment' in event) || event.segmentId === null) return event;
    const segment = event.segment ?? {};
    const known = this.#segments.get(event.segmentId);
    const startS = segment.audioStartSeconds ?? known?.startS ?? 0;
    if (event.type === 'final' || event.type === 'closed') {
      const shownS = segment.audioEndSeconds ?? (event.type === 'final' ? Infinity : (known?.shownS ?? 0));
      this.#segments.set(event.segmentId, { startS, shownS, isFinal: true });
    } else if (!known?.isFinal) {
      // The server may tell more about a segment after its final text, which does not open it again.
      const shownS = event.type === 'realtime' ? event.audioEndS : (known?.shownS ?? 0);
      this.#segments.set(event.segmentId, { startS, shownS, isFinal: false });
    }
    if (this.#segments.size > MAX_SEGMENTS) this.#segments.delete(Math.min(...this.#segments.keys()));
    this.#hold();
    return { ...event, segment: this.#dated(segment) };
  }

  /** Keep the audio of segments without a final text: a server that has restarted must hear them as a whole. */
  #hold() {
    const starts = [...this.#segments.values()].filter(({ isFinal }) => !isFinal).map(({ startS }) => startS);
    this.#buffer.holdFrom(Math.min(...starts) - LEAD_S);
  }

  /** Its final text came early, and another one will replace it. @param {number} segmentId */
  #reopen(segmentId) {
    const known = this.#segments.get(segmentId);
    if (known) this.#segments.set(segmentId, { ...known, isFinal: false });
    this.#hold();
  }

  /**
   * The server dates audio when it handles it. That is late for audio that waited for a connection or for a busy server, so
   * a segment of before a restart could have a later date than one of after it.
   *
   * @param {SegmentTimes} segment
   * @returns {SegmentTimes} dated by when its audio was captured, on the server's clock
   */
  #dated(segment) {
    const { audioStartSeconds = NaN, recordingStartedAt, recordingEndedAt } = segment;
    const capturedAtMs = this.#buffer.capturedAtMs(audioStartSeconds + CONFIRMED_AFTER_S);
    if (recordingStartedAt === undefined || capturedAtMs === null || this.#clockOffsetS === -Infinity) return segment;
    const startedAt = capturedAtMs / 1000 + this.#clockOffsetS;
    const dated = { ...segment, recordingStartedAt: startedAt };
    if (recordingEndedAt !== undefined) dated.recordingEndedAt = recordingEndedAt + startedAt - recordingStartedAt;
    return dated;
  }

  /**
   * Where the next session begins, so that no words are lost and none come twice: with the first segment that has no final text,
   * where the text of the one before it ends. A segment whose beginning is no longer in the buffer keeps the words it has, and
   * only its audio after them is sent again.
   *
   * @returns {{fromS: number, fromSegment: number}} `fromSegment`: the first segment whose audio is sent again as a whole
   */
  #restart() {
    const segments = [...this.#segments].sort(([a], [b]) => a - b);
    const first = segments.findIndex(([, { startS, isFinal }]) => !isFinal && startS >= this.#buffer.startS);
    const before = first < 0 ? segments : segments.slice(0, first);
    const fromS = Math.max(0, ...before.map(([, { shownS }]) => shownS));
    return { fromS, fromSegment: first >= 0 && fromS < Infinity ? segments[first][0] : Infinity };
  }

  /**
   * The server no longer has the session: continue with the new one, and give it the audio that has no final text yet.
   *
   * @param {ServerEvent[]} events of the new session
   */
  #adoptNewSession(events) {
    this.#heldEvents = null;
    const { fromS, fromSegment } = this.#restart();
    const frames = this.#buffer.takeFrom(fromS);
    // A `clear` discards what was said before it, and the new session has nothing to clear.
    const wanted = frames.slice(frames.findLastIndex(({ frame }) => frame === CLEAR) + 1);
    const newEvents = events // its `hello` makes a new buffer
      .filter((event) => this.#isNew(event))
      .map((event) => (event.type === 'hello' ? { ...event, replacesFrom: fromSegment } : event));
    this.#buffer.countUnbufferedCommand(); // the server counts the `resume` that it rejected
    // The old session's `start` was sent and is gone: without one, the new session would ignore the audio.
    if (wanted.length > 0 && typeof wanted[0].frame !== 'string') this.#buffer.add(this.startFrame);
    this.#buffer.addAgain(wanted);
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
