/**
 * The server's events of the last ten minutes, in tracks: wake words, voice, utterances and recognition.
 * It does not draw, touch the DOM or read a clock.
 *
 * All times are seconds on the page's clock. The server's clock may differ. The smallest difference seen between an event's
 * timestamp and its arrival is taken as the offset; it includes the shortest network delay.
 */

import { secondsLabel } from '../shared/format.js';
import { closedReason } from '../shared/messages.js';

/** @import { ServerEvent, Timeline as TimelineEvent } from '../connection/protocol.js' */

/** @typedef {'microphone' | 'wake' | 'voice' | 'recording' | 'recognition'} Track */

/**
 * @typedef {object} Span
 * @property {Track} track
 * @property {'quiet' | 'busy' | 'good' | 'bad'} tone
 * @property {string} label shown to the user
 * @property {string} key identifies the span that is to be closed
 * @property {number} fromS
 * @property {number | null} toS null while it is open
 *
 * @typedef {{track: Track, tone: 'quiet' | 'busy' | 'good' | 'bad', label: string, atS: number}} Mark an event without duration
 */

/** @type {{track: Track, label: string}[]} from top to bottom */
export const TRACKS = [
  { track: 'microphone', label: 'Microphone' },
  { track: 'wake', label: 'Wake word' },
  { track: 'voice', label: 'Voice' },
  { track: 'recording', label: 'Utterances' },
  { track: 'recognition', label: 'Recognition' },
];

export const KEPT_S = 600;

export class Timeline {
  /** @type {Span[]} */
  #spans = [];
  /** @type {Mark[]} */
  #marks = [];
  /** Page clock minus server clock, seconds; Infinity while unknown. */
  #clockOffsetS = Infinity;

  /** @returns {readonly Span[]} in order of their start */
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
  eventReceived(event, nowS) {
    if (event.type === 'status') {
      this.#updateClockOffset(event.at, nowS);
      const hasVoice = event.state === 'voice' || event.state === 'recording';
      if (hasVoice) this.#open({ track: 'voice', tone: 'good', label: 'voice', key: 'voice' }, this.#pageTime(event.at, nowS));
      else if (event.state !== 'transcribing') this.#close('voice', this.#pageTime(event.at, nowS));
    } else if (event.type === 'timeline') {
      this.#timelineEvent(event, this.#pageTime(event.at, nowS));
    } else if (event.type === 'realtime') {
      this.#mark('recognition', 'quiet', `live words of ${event.segmentId}`, nowS);
    } else if (event.type === 'final') {
      this.#close(`transcribe-${event.segmentId}`, nowS, { tone: 'good', label: `final text of ${event.segmentId}: \u2068${event.text}\u2069` });
    } else if (event.type === 'closed') {
      const label = `no text for ${event.segmentId}: ${closedReason(event.reason)}`;
      this.#close(`transcribe-${event.segmentId}`, nowS, { tone: 'bad', label });
      this.#close(`record-${event.segmentId}`, nowS);
    } else if (event.type === 'clear') {
      this.ended(nowS);
    } else if (event.type === 'error') {
      this.#mark('recognition', 'bad', 'error', nowS);
    }
    this.#removeOld(nowS);
  }

  /**
   * Close all open spans: the connection was lost, or everything was cleared.
   *
   * @param {number} nowS
   */
  ended(nowS) {
    this.#spans = this.#spans.map((span) => (span.toS === null ? { ...span, toS: Math.max(span.fromS, nowS) } : span));
  }

  /**
   * The connection was lost. The next server may have another clock.
   *
   * @param {number} nowS
   */
  disconnected(nowS) {
    this.ended(nowS);
    this.#clockOffsetS = Infinity;
  }

  /**
   * @param {TimelineEvent} event
   * @param {number} atS time of the event
   */
  #timelineEvent({ event, segmentId, durationSeconds, wakeWord }, atS) {
    switch (event) {
      case 'recording_started':
        this.#close('window', atS);
        this.#open({ track: 'recording', tone: 'busy', label: `utterance ${segmentId}`, key: `record-${segmentId}` }, atS);
        break;
      case 'recording_ended':
        this.#close(`record-${segmentId}`, atS);
        break;
      case 'transcription_started':
        this.#open({ track: 'recognition', tone: 'busy', label: `transcribing ${segmentId}`, key: `transcribe-${segmentId}` }, atS);
        break;
      case 'wakeword_wait_started':
        this.#close('window', atS);
        this.#open({ track: 'wake', tone: 'quiet', label: 'waiting for the wake word', key: 'wait' }, atS);
        break;
      case 'wakeword_wait_ended':
        this.#close('wait', atS);
        break;
      case 'wakeword_detected':
        this.#close('wait', atS);
        this.#mark('wake', 'good', wakeWord ? `detected “${wakeWord}”` : 'wake word detected', atS);
        this.#open({ track: 'wake', tone: 'good', label: 'listening after the wake word', key: 'window' }, atS);
        break;
      case 'wakeword_followup_started':
        this.#close('window', atS);
        this.#open({ track: 'wake', tone: 'good', label: `listening for ${secondsLabel(durationSeconds ?? 0)} more without a wake word`, key: 'window' }, atS);
        break;
      case 'wakeword_followup_timeout':
        this.#close('window', atS);
        break;
      case 'wakeword_timeout':
        this.#close('window', atS);
        this.#mark('wake', 'bad', 'no speech after the wake word', atS);
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
   * @param {Partial<Span>} [change] properties known only now
   */
  #close(key, toS, change = {}) {
    const index = this.#spans.findLastIndex((span) => span.key === key && span.toS === null);
    if (index < 0) return;
    const span = this.#spans[index];
    this.#spans[index] = { ...span, ...change, toS: Math.max(span.fromS, toS) };
  }

  /**
   * @param {Track} track
   * @param {Mark['tone']} tone
   * @param {string} label
   * @param {number} atS
   */
  #mark(track, tone, label, atS) {
    this.#marks.push({ track, tone, label, atS });
  }

  /** @param {number} nowS */
  #removeOld(nowS) {
    const oldestS = nowS - KEPT_S;
    if ((this.#spans[0]?.toS ?? nowS) < oldestS) this.#spans = this.#spans.filter(({ toS }) => (toS ?? nowS) >= oldestS);
    if ((this.#marks[0]?.atS ?? nowS) < oldestS) this.#marks = this.#marks.filter(({ atS }) => atS >= oldestS);
  }

  /**
   * @param {number | null} at
   * @param {number} nowS
   */
  #updateClockOffset(at, nowS) {
    if (at !== null) this.#clockOffsetS = Math.min(this.#clockOffsetS, nowS - at);
  }

  /**
   * @param {number | null} at on the server's clock
   * @param {number} nowS
   * @returns {number} on the page's clock; never in the future
   */
  #pageTime(at, nowS) {
    return at === null || this.#clockOffsetS === Infinity ? nowS : Math.min(nowS, at + this.#clockOffsetS);
  }
}
