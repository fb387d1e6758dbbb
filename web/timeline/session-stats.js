/**
 * Statistics of the session: delays, queue and degradation, for the chips in the top bar and the statistics card.
 * It reads no clock.
 */

import { makeElement, setText } from '../shared/dom.js';
import { secondsLabel } from '../shared/format.js';

/** @import { ServerEvent } from '../connection/protocol.js' */
/** @import { Chip } from '../shared/messages.js' */

/** @typedef {Extract<ServerEvent, {type: 'realtime'}>} Realtime */
/** @typedef {Extract<ServerEvent, {type: 'heartbeat'}>} Heartbeat */

/** Values in each median: a few seconds of live words, and a few minutes of utterances. */
const WORDS_SAMPLES = 15;
const FIRST_WORDS_SAMPLES = 9;

/** Shortest queue with a chip. A chip for every packet that waits a moment would flicker. */
const MIN_QUEUE_SHOWN = 8;

/**
 * @param {number[]} values
 * @returns {number | null}
 */
function median(values) {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted.length > 0 ? sorted[Math.floor(sorted.length / 2)] : null;
}

/** @param {number | null} ms */
const milliseconds = (ms) => (ms === null ? '' : `${Math.round(ms)} ms`);

export class SessionStats {
  /** @type {number[]} time of live words in queue and engine, seconds */
  #wordsS = [];
  /** @type {number[]} from the start of speech to its first words, seconds */
  #firstWordsS = [];
  #newestSegmentId = 0;
  #queueDepth = 0;
  #isDegraded = false;
  /** @type {Heartbeat | null} */
  #heartbeat = null;

  /** @param {ServerEvent} event */
  eventReceived(event) {
    if (event.type === 'hello') {
      this.#newestSegmentId = 0;
      this.disconnected();
    } else if (event.type === 'realtime') {
      if (event.latencyS !== null) this.#wordsS = [...this.#wordsS, event.latencyS].slice(-WORDS_SAMPLES);
      if (event.segmentId > this.#newestSegmentId) this.#firstWords(event);
    } else if (event.type === 'status') {
      this.#queueDepth = event.queueDepth;
      this.#isDegraded = event.degraded;
    } else if (event.type === 'heartbeat') {
      this.#heartbeat = event;
    }
  }

  /** Queue and degradation belong to the lost connection; delays stay until there are newer ones. */
  disconnected() {
    this.#queueDepth = 0;
    this.#isDegraded = false;
    this.#heartbeat = null;
  }

  /** @returns {Record<'words' | 'queue' | 'degraded', Chip>} an empty label hides the chip */
  get chips() {
    const wordsMs = this.#wordsMs;
    return {
      words: { label: wordsMs === null ? '' : `Delay ${secondsLabel(wordsMs / 1000)}`, tone: 'quiet' },
      queue: { label: this.#queueDepth >= MIN_QUEUE_SHOWN ? `${this.#queueDepth} waiting` : '', tone: 'warn' },
      degraded: { label: this.#isDegraded ? 'Server busy' : '', tone: 'warn' },
    };
  }

  /**
   * @param {number | null} latencyMs round trip of a ping
   * @returns {[string, string][]} name and value; the value is '' while unknown
   */
  list(latencyMs) {
    const heartbeat = this.#heartbeat;
    const firstS = median(this.#firstWordsS);
    return [
      ['Round trip to the server', milliseconds(latencyMs)],
      ['Live words, queue and engine', milliseconds(this.#wordsMs)],
      ['First words after speech begins', milliseconds(firstS === null ? null : firstS * 1000)],
      ['Audio and jobs waiting', String(this.#queueDepth)],
      ['Last queue delay', milliseconds(heartbeat?.queueDelayMs ?? null)],
      ['Engine time per second of audio', heartbeat ? milliseconds(heartbeat.realTimeFactor * 1000) : ''],
      ['Audio received', heartbeat ? `${Math.round(heartbeat.audioReceivedSeconds)} s` : ''],
      ['Live words', this.#isDegraded ? 'less often: the server is busy' : 'at full rate'],
    ];
  }

  get #wordsMs() {
    const wordsS = median(this.#wordsS);
    return wordsS === null ? null : wordsS * 1000;
  }

  /** @param {Realtime} event */
  #firstWords({ segmentId, at, segment }) {
    this.#newestSegmentId = segmentId;
    if (at === null || segment.recordingStartedAt === undefined) return;
    this.#firstWordsS = [...this.#firstWordsS, at - segment.recordingStartedAt].slice(-FIRST_WORDS_SAMPLES);
  }
}

/**
 * @param {HTMLElement} list a `dl`
 * @param {[string, string][]} stats name and value
 */
export function drawStats(list, stats) {
  while (list.children.length < stats.length) list.append(makeElement('div', '', makeElement('dt'), makeElement('dd')));
  stats.forEach(([name, value], i) => {
    const [term, description] = list.children[i].children;
    setText(term, name);
    setText(description, value || '–');
  });
}
