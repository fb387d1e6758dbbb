/**
 * The chips in the top bar and the figures behind them: delays, queue, degradation.
 * It must not word states or connections, and reads no clock.
 */

/** @import { Chip } from '../shared/messages.js' */
/** @import { ServerEvent } from '../connection/protocol.js' */

/** So many of the newest are looked at: a few seconds of live words, a few minutes of utterances. */
const WORDS_KEPT = 15;
const FIRST_WORDS_KEPT = 9;

/** A chip for every packet that waits a moment would only flicker. */
const QUEUE_WORTH_TELLING = 8;

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

/** What one connection's events tell of how well it is served. */
export class Figures {
  /** @type {number[]} what queue and engine took for live words, seconds */
  #wordsS = [];
  /** @type {number[]} from the detection of speech to its first words, seconds */
  #firstWordsS = [];
  #newestSegmentId = 0;
  #queueDepth = 0;
  #isDegraded = false;
  /** @type {Extract<ServerEvent, {type: 'heartbeat'}> | null} */
  #heartbeat = null;

  /** @param {ServerEvent} event */
  eventArrived(event) {
    if (event.type === 'hello') {
      this.#newestSegmentId = 0;
      this.disconnected();
    } else if (event.type === 'realtime') {
      if (event.latencyS !== null) this.#wordsS = [...this.#wordsS, event.latencyS].slice(-WORDS_KEPT);
      if (event.segmentId > this.#newestSegmentId) this.#firstWords(event);
    } else if (event.type === 'status') {
      this.#queueDepth = event.queueDepth;
      this.#isDegraded = event.degraded;
    } else if (event.type === 'heartbeat') {
      this.#heartbeat = event;
    }
  }

  /** Queue and degradation were the lost connection's; delays stay until there are newer ones. */
  disconnected() {
    this.#queueDepth = 0;
    this.#isDegraded = false;
    this.#heartbeat = null;
  }

  /** @returns {Record<'words' | 'queue' | 'degraded', Chip>} an empty label hides one */
  get chips() {
    const wordsMs = this.#wordsMs;
    return {
      words: { label: wordsMs === null ? '' : `words ${milliseconds(wordsMs)}`, tone: 'quiet' },
      queue: { label: this.#queueDepth >= QUEUE_WORTH_TELLING ? `${this.#queueDepth} waiting` : '', tone: 'warn' },
      degraded: { label: this.#isDegraded ? 'Server busy' : '', tone: 'warn' },
    };
  }

  /**
   * @param {number | null} roundTripMs
   * @returns {[string, string][]} name and value of each figure; a value is empty while unknown
   */
  list(roundTripMs) {
    const beat = this.#heartbeat;
    const firstS = median(this.#firstWordsS);
    return [
      ['To the server and back', milliseconds(roundTripMs)],
      ['Engine, for live words', milliseconds(this.#wordsMs)],
      ['First words after speech begins', milliseconds(firstS === null ? null : firstS * 1000)],
      ['Waiting to be heard or written', String(this.#queueDepth)],
      ['Last wait for an engine', milliseconds(beat?.queueDelayMs ?? null)],
      ['Engine time for a second of sound', beat ? milliseconds(beat.realTimeFactor * 1000) : ''],
      ['Sound received', beat ? `${Math.round(beat.audioReceivedSeconds)} s` : ''],
      ['Live words', this.#isDegraded ? 'fewer: the server is busy' : 'at full pace'],
    ];
  }

  get #wordsMs() {
    const wordsS = median(this.#wordsS);
    return wordsS === null ? null : wordsS * 1000;
  }

  /** @param {Extract<ServerEvent, {type: 'realtime'}>} event */
  #firstWords({ segmentId, at, segment }) {
    this.#newestSegmentId = segmentId;
    if (at === null || segment.recordingStartedAt === undefined) return;
    this.#firstWordsS = [...this.#firstWordsS, at - segment.recordingStartedAt].slice(-FIRST_WORDS_KEPT);
  }
}

/**
 * Write only what changed: live regions and style recalculation both follow writes.
 *
 * @param {HTMLElement} element
 * @param {Chip} chip an empty label hides it
 */
export function drawChip(element, { label, tone }) {
  if (element.textContent !== label) element.textContent = label;
  if (element.dataset.tone !== tone) element.dataset.tone = tone;
  element.hidden = !label;
}

/**
 * @param {HTMLElement} list a `dl`
 * @param {[string, string][]} figures
 */
export function drawFigures(list, figures) {
  while (list.children.length < figures.length) {
    const row = document.createElement('div');
    row.append(document.createElement('dt'), document.createElement('dd'));
    list.append(row);
  }
  figures.forEach(([name, value], i) => {
    const [term, figure] = list.children[i].children;
    if (term.textContent !== name) term.textContent = name;
    if (figure.textContent !== (value || '–')) figure.textContent = value || '–';
  });
}
