/**
 * What the server did in the last ten minutes, in lanes: wake words, voice, recordings and recognition, as its events tell.
 * It must not draw, touch the DOM or read a clock.
 *
 * All times in here are seconds on the page's clock. The server's clock may differ: the smallest difference ever seen
 * between an event's own time and its arrival is how far, plus the shortest way to us.
 */

import { closedReason, secondsLabel } from '../shared/messages.js';

/** @import { ServerEvent, Timeline as TimelineEvent } from '../connection/protocol.js' */

/** @typedef {'microphone' | 'wake' | 'voice' | 'recording' | 'recognition'} Lane */

/**
 * @typedef {object} Span
 * @property {Lane} lane
 * @property {'quiet' | 'busy' | 'good' | 'bad'} tone
 * @property {string} label what it was, for people
 * @property {string} key open spans are closed by it
 * @property {number} fromS
 * @property {number | null} toS null while it goes on
 *
 * @typedef {{lane: Lane, tone: 'quiet' | 'busy' | 'good' | 'bad', label: string, atS: number}} Mark an instant
 */

/** @type {{lane: Lane, label: string}[]} from top to bottom */
export const LANES = [
  { lane: 'microphone', label: 'Microphone' },
  { lane: 'wake', label: 'Wake word' },
  { lane: 'voice', label: 'Voice' },
  { lane: 'recording', label: 'Recording' },
  { lane: 'recognition', label: 'Recognition' },
];

export const KEPT_S = 600;

export class Timeline {
  /** @type {Span[]} */
  #spans = [];
  /** @type {Mark[]} */
  #marks = [];
  /** Page clock minus server clock, seconds; Infinity while unknown. */
  #clockLagS = Infinity;

  /** @returns {readonly Span[]} in order of their beginning */
  get spans() {
    return this.#spans;
  }

  /** @returns {readonly Mark[]} */
  get marks() {
    return this.#marks;
  }

  /**
   * @param {ServerEvent} event
   * @param {number} nowS
   */
  eventArrived(event, nowS) {
    if (event.type === 'status') {
      this.#learnClock(event.at, nowS);
      const hasVoice = event.state === 'voice' || event.state === 'recording';
      if (hasVoice) this.#open({ lane: 'voice', tone: 'good', label: 'voice', key: 'voice' }, this.#pageTime(event.at, nowS));
      else if (event.state !== 'transcribing') this.#close('voice', this.#pageTime(event.at, nowS));
    } else if (event.type === 'timeline') {
      this.#happened(event, this.#pageTime(event.at, nowS));
    } else if (event.type === 'realtime') {
      this.#mark('recognition', 'quiet', `live words of ${event.segmentId}`, nowS);
    } else if (event.type === 'final') {
      this.#close(`write-${event.segmentId}`, nowS, { tone: 'good', label: `wrote ${event.segmentId}: \u2068${event.text}\u2069` });
    } else if (event.type === 'closed') {
      const label = `no text for ${event.segmentId}: ${closedReason(event.reason)}`;
      this.#close(`write-${event.segmentId}`, nowS, { tone: 'bad', label });
      this.#close(`record-${event.segmentId}`, nowS);
    } else if (event.type === 'clear') {
      this.ended(nowS);
    } else if (event.type === 'error') {
      this.#mark('recognition', 'bad', 'error', nowS);
    }
    this.#forget(nowS);
  }

  /**
   * Nothing that runs now goes on: the connection was lost, or everything was cleared.
   *
   * @param {number} nowS
   */
  ended(nowS) {
    this.#spans = this.#spans.map((span) => (span.toS === null ? { ...span, toS: Math.max(span.fromS, nowS) } : span));
  }

  /**
   * The server's clock may be another one from now on.
   *
   * @param {number} nowS
   */
  disconnected(nowS) {
    this.ended(nowS);
    this.#clockLagS = Infinity;
  }

  /**
   * @param {TimelineEvent} event
   * @param {number} atS when it happened
   */
  #happened({ event, segmentId, durationSeconds, wakeWord }, atS) {
    switch (event) {
      case 'recording_started':
        this.#close('window', atS);
        this.#open({ lane: 'recording', tone: 'busy', label: `recording ${segmentId}`, key: `record-${segmentId}` }, atS);
        break;
      case 'recording_ended':
        this.#close(`record-${segmentId}`, atS);
        break;
      case 'transcription_started':
        this.#open({ lane: 'recognition', tone: 'busy', label: `writing ${segmentId}`, key: `write-${segmentId}` }, atS);
        break;
      case 'wakeword_wait_started':
        this.#close('window', atS);
        this.#open({ lane: 'wake', tone: 'quiet', label: 'waiting for the wake word', key: 'wait' }, atS);
        break;
      case 'wakeword_wait_ended':
        this.#close('wait', atS);
        break;
      case 'wakeword_detected':
        this.#close('wait', atS);
        this.#mark('wake', 'good', wakeWord ? `heard “${wakeWord}”` : 'wake word heard', atS);
        this.#open({ lane: 'wake', tone: 'good', label: 'awake', key: 'window' }, atS);
        break;
      case 'wakeword_followup_started':
        this.#close('window', atS);
        this.#open({ lane: 'wake', tone: 'good', label: `awake for ${secondsLabel(durationSeconds ?? 0)} more`, key: 'window' }, atS);
        break;
      case 'wakeword_followup_timeout':
        this.#close('window', atS);
        break;
      case 'wakeword_timeout':
        this.#close('window', atS);
        this.#mark('wake', 'bad', 'nothing was said after the wake word', atS);
        break;
    }
  }

  /**
   * @param {Omit<Span, 'fromS' | 'toS'>} span
   * @param {number} fromS
   */
  #open(span, fromS) {
    if (this.#spans.some(({ key, toS }) => key === span.key && toS === null)) return;
    this.#spans.push({ ...span, fromS, toS: null });
  }

  /**
   * @param {string} key
   * @param {number} toS
   * @param {Partial<Span>} [change] what is known now
   */
  #close(key, toS, change = {}) {
    const index = this.#spans.findLastIndex((span) => span.key === key && span.toS === null);
    if (index < 0) return;
    const span = this.#spans[index];
    this.#spans[index] = { ...span, ...change, toS: Math.max(span.fromS, toS) };
  }

  /**
   * @param {Lane} lane
   * @param {Mark['tone']} tone
   * @param {string} label
   * @param {number} atS
   */
  #mark(lane, tone, label, atS) {
    this.#marks.push({ lane, tone, label, atS });
  }

  /** @param {number} nowS */
  #forget(nowS) {
    const oldestS = nowS - KEPT_S;
    if ((this.#spans[0]?.toS ?? nowS) < oldestS) this.#spans = this.#spans.filter(({ toS }) => (toS ?? nowS) >= oldestS);
    if ((this.#marks[0]?.atS ?? nowS) < oldestS) this.#marks = this.#marks.filter(({ atS }) => atS >= oldestS);
  }

  /**
   * @param {number | null} at
   * @param {number} nowS
   */
  #learnClock(at, nowS) {
    if (at !== null) this.#clockLagS = Math.min(this.#clockLagS, nowS - at);
  }

  /**
   * @param {number | null} at on the server's clock
   * @param {number} nowS
   * @returns {number} on the page's; never in the future
   */
  #pageTime(at, nowS) {
    return at === null || this.#clockLagS === Infinity ? nowS : Math.min(nowS, at + this.#clockLagS);
  }
}
