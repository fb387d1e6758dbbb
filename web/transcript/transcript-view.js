/**
 * Draws the transcript: one element for each entry, kept in step with the model.
 * It must not decide what a block says, nor where the page is scrolled to.
 *
 * Entries stand in stretches, each of which the browser lays out only while it is near the window: hours of talk then
 * cost no more than minutes. Single entries as such units would be thousands to watch.
 */

import { lossNote, secondsLabel } from '../shared/messages.js';

/** @import { Block, Break, Change } from './transcript.js' */

/** Of entries; a few screens high. */
const STRETCH = 40;

const CLOCK = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' });

/** @param {number} atS seconds since the epoch */
const clock = (atS) => CLOCK.format(new Date(atS * 1000));

/**
 * @param {string} tag
 * @param {string} className
 * @param {string} [text]
 */
function make(tag, className, text = '') {
  const element = document.createElement(tag);
  element.className = className;
  element.textContent = text;
  return element;
}

/**
 * Write only what changed: a text node that is replaced loses what the reader selected in it.
 *
 * @param {Element} element
 * @param {string} text
 */
function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/**
 * What is known about a block, in an order that keeps what is written in its place while the rest comes.
 *
 * @param {Block} block
 */
function metaOf({ phase, loss, isDoubtful, times }) {
  const { durationSeconds, recordingEndedAt, preRollSeconds, wakeWordAt, wakeWord } = times;
  const parts = [];
  if (phase === 'lost') parts.push(lossNote(loss));
  else if (phase === 'live' && recordingEndedAt === undefined) parts.push(isDoubtful ? 'speaking, hard to understand' : 'speaking');
  if (durationSeconds !== undefined) parts.push(secondsLabel(durationSeconds));
  if (recordingEndedAt !== undefined) parts.push(`until ${clock(recordingEndedAt)}`);
  if (preRollSeconds) parts.push(`pre-roll ${secondsLabel(preRollSeconds)}`);
  if (wakeWordAt !== undefined) parts.push(`${wakeWord ? `“${wakeWord}”` : 'wake word'} at ${clock(wakeWordAt)}`);
  return parts.join(' · ');
}

/** @param {Block} block */
function drawBlock(block) {
  const element = make('article', 'segment');
  element.dataset.testid = 'segment';
  element.dataset.segmentId = String(block.segmentId);
  const words = make('p', 'segment-text');
  words.dir = 'auto'; // each block finds its own direction: people mix languages
  words.append(make('span', 'stable'), make('span', 'unstable'));
  const meta = make('p', 'segment-meta');
  meta.dataset.testid = 'segment-meta';
  element.append(make('time', 'segment-time'), words, meta);
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
  element.toggleAttribute('data-doubtful', block.phase === 'live' && block.isDoubtful);
  write(stable, block.stable);
  write(unstable, block.unstable);
  write(meta, metaOf(block));
  const { recordingStartedAt } = block.times;
  if (recordingStartedAt !== undefined && !time.textContent) {
    time.setAttribute('datetime', new Date(recordingStartedAt * 1000).toISOString());
    time.textContent = clock(recordingStartedAt);
  }
}

/** @param {Break} entry */
const breakText = ({ missedS }) =>
  missedS > 0 ? `Connection restored · ${secondsLabel(missedS)} not heard` : 'Connection restored';

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
      const stretch = element?.parentElement;
      element?.remove();
      if (stretch?.childElementCount === 0) stretch.remove();
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
    const element = known ?? (entry.kind === 'block' ? drawBlock(entry) : make('div', 'break'));
    if (!known) {
      this.#elements.set(entry.key, element);
      const before = this.#elements.get(beforeKey ?? '');
      if (before) before.before(element);
      else this.#lastStretch().append(element);
    }
    if (entry.kind === 'break') write(element, breakText(entry));
    else if (known) updateBlock(element, entry);
    return !known;
  }

  /** @returns {Element} one with room for one more */
  #lastStretch() {
    const last = this.#list.lastElementChild;
    if (last && last.childElementCount < STRETCH) return last;
    const stretch = make('div', 'stretch');
    this.#list.append(stretch);
    return stretch;
  }
}
