/**
 * Draws the transcript: one element per entry, updated from the model's changes.
 * It decides neither the text of a block nor the scroll position.
 *
 * Blocks of one session that follow each other closely run together into a paragraph, whose length is bounded.
 * Paragraphs are grouped in chunks, each with `content-visibility: auto`: the browser lays out only chunks near the window, so hours
 * of transcript cost no more than minutes. With single entries as units, the browser would have to watch thousands.
 */

import { makeElement, setText } from '../shared/dom.js';
import { dayAndTime, positionLabel, secondsLabel, timeOfDay } from '../shared/format.js';
import { speakerName } from './entries.js';
import { lossNote } from './transcript-messages.js';

/** @import { SegmentTimes } from '../connection/protocol.js' */
/** @import { Block, Break, Change } from './entries.js' */

/** Paragraphs and breaks per chunk: a few screens high. */
const CHUNK_PARAGRAPHS = 40;

/** Longest pause within a paragraph. */
const PARAGRAPH_PAUSE_S = 2;

/** A paragraph of this length is not continued: about six lines. */
const PARAGRAPH_CHARACTERS = 400;

/** @param {number} atS seconds since the epoch */
const clock = (atS) => timeOfDay(atS * 1000);

/**
 * The figures of a block. They are in the order in which they become known, so that written ones do not move.
 *
 * @param {Block} block
 */
function figuresOf({ phase, isUncertain, times }) {
  const { durationSeconds, recordingEndedAt, preRollSeconds, wakeWordAt, wakeWord } = times;
  const parts = [];
  if (phase === 'live' && recordingEndedAt === undefined) parts.push(isUncertain ? 'speaking, uncertain' : 'speaking');
  if (durationSeconds !== undefined) parts.push(secondsLabel(durationSeconds));
  if (recordingEndedAt !== undefined) parts.push(`until ${clock(recordingEndedAt)}`);
  if (preRollSeconds) parts.push(`pre-roll ${secondsLabel(preRollSeconds)}`);
  if (wakeWordAt !== undefined) parts.push(`${wakeWord ? `“${wakeWord}”` : 'wake word'} at ${clock(wakeWordAt)}`);
  return parts.join(' · ');
}

/** @param {Block} block */
function drawBlock(block) {
  const element = makeElement('article', 'segment');
  element.dataset.testid = 'segment';
  element.dataset.segmentId = String(block.segmentId);
  const words = makeElement('p', 'segment-text');
  words.dir = 'auto'; // per block, because a talk may mix languages
  words.append(makeElement('span', 'stable'), makeElement('span', 'unstable'));
  const meta = makeElement('p', 'segment-meta');
  meta.dataset.testid = 'segment-meta';
  meta.append(makeElement('span', 'segment-note'), makeElement('span', 'segment-figures'));
  element.append(makeElement('time', 'segment-time'), words, meta);
  if (block.channel !== undefined) words.before(makeElement('strong', 'segment-speaker', speakerName(block.channel)));
  updateBlock(element, block);
  return element;
}

/**
 * @param {HTMLElement} element made by drawBlock
 * @param {Block} block
 */
function updateBlock(element, block) {
  const [time, words, meta] = ['.segment-time', '.segment-text', '.segment-meta'].map((part) => /** @type {Element} */ (element.querySelector(part)));
  const [stable, unstable] = words.children;
  element.dataset.final = String(block.phase === 'final');
  element.dataset.phase = block.phase;
  element.toggleAttribute('data-uncertain', block.phase === 'live' && block.isUncertain);
  setText(stable, block.stable);
  setText(unstable, block.unstable);
  const figures = figuresOf(block);
  const [note, details] = meta.children;
  setText(note, block.phase === 'lost' ? lossNote(block.loss) : '');
  setText(details, figures && note.textContent ? ` · ${figures}` : figures);
  const { recordingStartedAt, audioStartSeconds } = block.times;
  if (recordingStartedAt === undefined && block.phase === 'final' && audioStartSeconds !== undefined) {
    setText(time, positionLabel(audioStartSeconds));
  }
  if (recordingStartedAt !== undefined && !time.textContent) {
    time.setAttribute('datetime', new Date(recordingStartedAt * 1000).toISOString());
    time.textContent = clock(recordingStartedAt);
  }
}

/** @param {Break} entry */
function breakText({ lostS, openedAtMs, file }) {
  if (file) return file;
  const text = openedAtMs === undefined ? 'Connection restored' : `Page opened ${dayAndTime(openedAtMs)}`;
  return lostS > 0 ? `${text} · ${secondsLabel(lostS)} of audio lost` : text;
}

export class TranscriptView {
  /** @type {Map<string, HTMLElement>} */
  #elements = new Map();
  #list;

  /** @param {HTMLElement} list */
  constructor(list) {
    this.#list = list;
  }

  /** @type {Block | null} the last block, unless a break follows it */
  #last = null;
  /** Length of the last paragraph without the last block. */
  #characters = 0;

  /**
   * @param {Change} change
   * @returns {boolean} whether an element was added
   */
  apply(change) {
    if (change.type === 'put') return this.#put(change.entry, change.beforeKey);
    if (change.type === 'reset') {
      this.#elements.clear();
      this.#list.replaceChildren();
      this.#last = null;
    } else {
      let empty = this.#elements.get(change.key);
      while (empty && empty !== this.#list) {
        const parent = empty.parentElement;
        empty.remove();
        if (!parent || parent.childElementCount > 0) break;
        empty = parent;
      }
      this.#elements.delete(change.key);
      if (this.#last?.key === change.key) this.#last = null;
    }
    return false;
  }

  /**
   * @param {Block | Break} entry
   * @param {string | null} beforeKey
   */
  #put(entry, beforeKey) {
    const known = this.#elements.get(entry.key);
    const element = known ?? (entry.kind === 'block' ? drawBlock(entry) : makeElement('div', 'break'));
    if (!known) {
      this.#elements.set(entry.key, element);
      const before = this.#elements.get(beforeKey ?? '');
      if (before) before.before(element);
      else if (entry.kind === 'block') this.#paragraphFor(entry).append(element);
      else this.#lastChunk().append(element);
    }
    if (entry.kind === 'break') setText(element, breakText(entry));
    else if (known) updateBlock(element, entry);
    if (entry.kind === 'break') this.#last = null;
    else if (beforeKey === null && (!known || this.#last?.key === entry.key)) this.#last = entry;
    return !known;
  }

  /**
   * @param {Block} block that comes last
   * @returns {Element} the last paragraph if the block continues it, else a new one
   */
  #paragraphFor(block) {
    const before = this.#last;
    const [{ times }, { audioEndSeconds, recordingEndedAt } = /** @type {SegmentTimes} */ ({})] = [block, before?.times];
    const pauseS = (times.audioStartSeconds ?? times.recordingStartedAt ?? Infinity) -
      ((times.audioStartSeconds === undefined ? recordingEndedAt : audioEndSeconds) ?? -Infinity);
    const characters = this.#characters + (before ? before.stable.length + before.unstable.length : 0);
    const current = before && this.#elements.get(before.key)?.parentElement;
    if (current && before.connection === block.connection && before.channel === block.channel && pauseS <= PARAGRAPH_PAUSE_S && characters < PARAGRAPH_CHARACTERS) {
      this.#characters = characters;
      return current;
    }
    this.#characters = 0;
    const paragraph = makeElement('div', 'paragraph');
    paragraph.dir = 'auto'; // each may be in another language
    this.#lastChunk().append(paragraph);
    return paragraph;
  }

  /** @returns {Element} a chunk with room for one more */
  #lastChunk() {
    const last = this.#list.lastElementChild;
    if (last && last.childElementCount < CHUNK_PARAGRAPHS) return last;
    const chunk = makeElement('div', 'chunk');
    this.#list.append(chunk);
    return chunk;
  }
}
