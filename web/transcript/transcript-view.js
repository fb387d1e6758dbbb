/**
 * Draws the transcript: one element per entry, updated from the model's changes.
 * It decides neither the text of a block nor the scroll position.
 *
 * Entries are grouped in chunks, each with `content-visibility: auto`: the browser lays out only chunks near the window, so hours
 * of transcript cost no more than minutes. With single entries as units, the browser would have to watch thousands.
 */

import { makeElement, setText } from '../shared/dom.js';
import { dayAndTime, secondsLabel, timeOfDay } from '../shared/format.js';
import { lossNote } from '../shared/messages.js';

/** @import { Block, Break, Change } from './transcript.js' */

/** Entries per chunk: a few screens high. */
const CHUNK_ENTRIES = 40;

/** @param {number} atS seconds since the epoch */
const clock = (atS) => timeOfDay(atS * 1000);

/**
 * The line below a block's words. Facts are in the order in which they become known, so that written ones do not move.
 *
 * @param {Block} block
 */
function metaOf({ phase, loss, isUncertain, times }) {
  const { durationSeconds, recordingEndedAt, preRollSeconds, wakeWordAt, wakeWord } = times;
  const parts = [];
  if (phase === 'lost') parts.push(lossNote(loss));
  else if (phase === 'live' && recordingEndedAt === undefined) parts.push(isUncertain ? 'speaking, uncertain' : 'speaking');
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
  words.dir = 'auto'; // per block, because a transcript may mix languages
  words.append(makeElement('span', 'stable'), makeElement('span', 'unstable'));
  const meta = makeElement('p', 'segment-meta');
  meta.dataset.testid = 'segment-meta';
  element.append(makeElement('time', 'segment-time'), words, meta);
  updateBlock(element, block);
  return element;
}

/**
 * @param {HTMLElement} element made by drawBlock
 * @param {Block} block
 */
function updateBlock(element, block) {
  const [time, words, meta] = element.children;
  const [stable, unstable] = words.children;
  element.dataset.final = String(block.phase === 'final');
  element.dataset.phase = block.phase;
  element.toggleAttribute('data-uncertain', block.phase === 'live' && block.isUncertain);
  setText(stable, block.stable);
  setText(unstable, block.unstable);
  setText(meta, metaOf(block));
  const { recordingStartedAt } = block.times;
  if (recordingStartedAt !== undefined && !time.textContent) {
    time.setAttribute('datetime', new Date(recordingStartedAt * 1000).toISOString());
    time.textContent = clock(recordingStartedAt);
  }
}

/** @param {Break} entry */
function breakText({ lostS, openedAtMs }) {
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

  /**
   * @param {Change} change
   * @returns {boolean} whether an element was added
   */
  apply(change) {
    if (change.type === 'put') return this.#put(change.entry, change.beforeKey);
    if (change.type === 'reset') {
      this.#elements.clear();
      this.#list.replaceChildren();
    } else {
      const element = this.#elements.get(change.key);
      const chunk = element?.parentElement;
      element?.remove();
      if (chunk?.childElementCount === 0) chunk.remove();
      this.#elements.delete(change.key);
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
      else this.#lastChunk().append(element);
    }
    if (entry.kind === 'break') setText(element, breakText(entry));
    else if (known) updateBlock(element, entry);
    return !known;
  }

  /** @returns {Element} a chunk with room for one more entry */
  #lastChunk() {
    const last = this.#list.lastElementChild;
    if (last && last.childElementCount < CHUNK_ENTRIES) return last;
    const chunk = makeElement('div', 'chunk');
    this.#list.append(chunk);
    return chunk;
  }
}
