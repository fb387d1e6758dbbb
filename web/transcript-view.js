/**
 * Draws the transcript: one element for each entry, kept in step with the model, and scrolled along while the reader is at its end.
 * It must not decide what a block says.
 */

import { secondsLabel } from './messages.js';

/** @import { Block, Break, Change } from './transcript.js' */

/** How near the end still counts as reading along. */
const NEAR_END_PX = 96;

const CLOCK = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' });

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

/** @param {Block} block */
function drawBlock(block) {
  const element = make('article', 'segment');
  element.dataset.testid = 'segment';
  element.dataset.segmentId = String(block.segmentId);
  const time = /** @type {HTMLTimeElement} */ (make('time', 'segment-time'));
  const words = make('p', 'segment-text');
  words.dir = 'auto'; // each block finds its own direction: people mix languages
  words.append(make('span', 'stable'), make('span', 'unstable'));
  element.append(time, words);
  updateBlock(element, block);
  return element;
}

/**
 * @param {HTMLElement} element made by drawBlock
 * @param {Block} block
 */
function updateBlock(element, block) {
  const [time, words] = element.children;
  const [stable, unstable] = words.children;
  element.dataset.final = String(block.phase === 'final');
  element.dataset.phase = block.phase;
  stable.textContent = block.stable;
  unstable.textContent = block.unstable;
  if (block.startedAtS !== null && !time.textContent) {
    const startedAt = new Date(block.startedAtS * 1000);
    time.setAttribute('datetime', startedAt.toISOString());
    time.textContent = CLOCK.format(startedAt);
  }
  if (block.phase === 'lost' && words.children.length === 2) {
    words.append(' ', make('span', 'segment-note', 'no final text'));
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

  /** @param {Change} change */
  apply(change) {
    const scroller = document.documentElement;
    const wasAtEnd = scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < NEAR_END_PX;
    if (change.type === 'reset') {
      this.#elements.clear();
      this.#list.replaceChildren();
    } else if (change.type === 'remove') {
      this.#elements.get(change.key)?.remove();
      this.#elements.delete(change.key);
    } else {
      this.#put(change.entry, change.beforeKey);
    }
    if (wasAtEnd) scroller.scrollTop = scroller.scrollHeight;
  }

  /**
   * @param {Block | Break} entry
   * @param {string | null} beforeKey
   */
  #put(entry, beforeKey) {
    let element = this.#elements.get(entry.key);
    if (!element) {
      element = entry.kind === 'block' ? drawBlock(entry) : make('div', 'break');
      this.#elements.set(entry.key, element);
      this.#list.insertBefore(element, this.#elements.get(beforeKey ?? '') ?? null);
    }
    if (entry.kind === 'block') updateBlock(element, entry);
    else element.textContent = breakText(entry);
  }
}
