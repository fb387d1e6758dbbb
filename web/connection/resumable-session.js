/**
 * One session over several connections: its resume token, the number of its last event, and the buffer of sent frames.
 * It knows no sockets, timers or DOM: events come in, events and frames go out.
 */

import { encodeCommand, encodeResume, encodeStart } from './protocol.js';
import { ResendBuffer } from './resend-buffer.js';

/** @import { Resumed, SegmentTimes, ServerEvent } from './protocol.js' */

/**
 * The server dates a start of speech when it has confirmed it, and an end after the pause: this much audio later.
 * Both are only used for audio that was sent late, where a second more or less does not matter.
 */
const CONFIRMED_AFTER_S = 0.3;
const ENDED_AFTER_S = 0.6;

const CLEAR = encodeCommand('clear');

export class ResumableSession {
  #token = '';
  #graceS = 0;
  /** Number of the last event received. */
  #seq = 0;
  #buffer = new ResendBuffer(0);
  /** @type {ServerEvent[] | null} events of the new session, held back until the server answers `resume`; else null */
  #heldEvents = null;
  #lostS = 0;
  /** @type {Map<number, SegmentTimes>} segments that have no final yet, by id */
  #open = new Map();
  /** Position up to which the audio has final texts, seconds; Infinity where the server does not tell. */
  #finalS = 0;
  /** Highest id of a segment that is closed: later events about such a segment do not open it again. */
  #closedId = 0;

  /** @type {string | null | undefined} chosen for this page's sessions; null: the server's setting, undefined: never chosen */
  language;

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
    [this.#token, this.#graceS, this.#seq, this.#buffer] = ['', 0, 0, new ResendBuffer(0)];
    this.#open.clear();
    [this.#finalS, this.#closedId] = [0, 0];
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
   * Remember which audio has its final text, and correct the times of audio that was sent late.
   *
   * @param {ServerEvent} event
   * @returns {ServerEvent}
   */
  #noted(event) {
    if (event.type === 'clear') this.#open.clear();
    if (!('segment' in event) || event.segmentId === null) return event;
    const { segmentId, segment } = event;
    if (event.type === 'final' || event.type === 'closed') {
      this.#open.delete(segmentId);
      this.#closedId = Math.max(this.#closedId, segmentId);
      this.#finalS = Math.max(this.#finalS, segment?.audioEndSeconds ?? Infinity);
    } else if (segmentId > this.#closedId || this.#open.has(segmentId)) {
      this.#open.set(segmentId, { ...this.#open.get(segmentId), ...segment });
    }
    return { ...event, segment: this.#corrected(segment ?? {}) };
  }

  /**
   * @param {SegmentTimes} segment
   * @returns {SegmentTimes}
   */
  #corrected(segment) {
    const { audioStartSeconds, audioEndSeconds, recordingStartedAt, recordingEndedAt } = segment;
    const corrected = { ...segment };
    if (recordingStartedAt !== undefined && audioStartSeconds !== undefined) {
      corrected.recordingStartedAt = recordingStartedAt - this.#buffer.delayAt(audioStartSeconds + CONFIRMED_AFTER_S);
    }
    if (recordingEndedAt !== undefined && audioEndSeconds !== undefined) {
      corrected.recordingEndedAt = recordingEndedAt - this.#buffer.delayAt(audioEndSeconds + ENDED_AFTER_S);
    }
    return corrected;
  }

  /**
   * Where the next session begins, so that no words are lost and none come twice: after the last final text. A segment whose
   * beginning is no longer in the buffer stays as it is, and its audio is not sent again.
   *
   * @returns {{fromS: number, fromSegment: number}} `fromSegment`: the first segment whose audio is sent again as a whole
   */
  #restart() {
    const { startS } = this.#buffer;
    const open = [...this.#open].sort(([a], [b]) => a - b).map(([id, times]) => ({ id, atS: times.audioStartSeconds ?? 0, times }));
    const keptEndS = Math.max(0, ...open.filter(({ atS }) => atS < startS).map(({ times }) => times.audioEndSeconds ?? Infinity));
    const first = open.find(({ atS }) => atS >= startS);
    const fromS = Math.max(keptEndS, Math.min(this.#finalS, first ? first.atS - CONFIRMED_AFTER_S : Infinity));
    return { fromS, fromSegment: first && fromS < Infinity ? first.id : Infinity };
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
    wanted.forEach(({ frame, durationS, addedAtMs }) => this.#buffer.add(frame, durationS, false, addedAtMs));
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
