/**
 * Search in the transcript: the field, the count, the highlights, and stepping from match to match.
 * It does not change the text: matches are highlighted by ranges.
 */

import { setText } from '../shared/dom.js';
import { findMatches, stepMatch } from './text-search.js';

/** @import { Match } from './text-search.js' */

/** @typedef {Match & {element: Element}} Occurrence */

const ALL = 'found';
const CURRENT = 'found-now';

/** @param {Occurrence} occurrence */
function rangeOf({ element, start, end }) {
  const range = document.createRange();
  const nodes = document.createTreeWalker(element, NodeFilter.SHOW_TEXT);
  let at = 0;
  for (let node = nodes.nextNode(); node; node = nodes.nextNode()) {
    const length = node.textContent?.length ?? 0;
    if (start >= at && start < at + length) range.setStart(node, start - at);
    if (end > at && end <= at + length) range.setEnd(node, end - at);
    at += length;
  }
  return range;
}

/**
 * @typedef {object} SearchElements
 * @property {HTMLFormElement} form
 * @property {HTMLInputElement} input
 * @property {HTMLElement} count
 * @property {HTMLButtonElement} previous
 * @property {HTMLButtonElement} next
 * @property {HTMLElement} transcript
 */

export class TranscriptSearch {
  /** @type {Occurrence[]} */
  #occurrences = [];
  /** @type {WeakMap<Element, {state: string, occurrences: Occurrence[]}>} cached matches, by text element; valid while `state` is the same */
  #cache = new WeakMap();
  /** @type {WeakSet<Element>} chunks that the browser does not draw, being far from the window */
  #skipped = new WeakSet();
  #current = -1;
  #isDue = false;
  #elements;

  /** @param {SearchElements} elements */
  constructor(elements) {
    this.#elements = elements;
    const { form, input, previous, next } = elements;
    form.addEventListener('submit', (event) => event.preventDefault());
    input.addEventListener('input', () => {
      this.#current = -1;
      this.#find();
      this.#step(1);
    });
    input.addEventListener('keydown', (event) => {
      if (event.key === 'Enter' && !event.isComposing) this.#step(event.shiftKey ? -1 : 1);
      else if (event.key === 'Escape') this.#leave();
      else return;
      event.preventDefault();
    });
    document.addEventListener('keydown', (event) => {
      const isTyping = event.target instanceof Element && event.target.closest('input, select, textarea, dialog');
      if (event.key !== '/' || isTyping || event.ctrlKey || event.metaKey || event.altKey || !form.offsetParent) return;
      event.preventDefault();
      input.focus();
    });
    previous.addEventListener('click', () => this.#step(-1));
    next.addEventListener('click', () => this.#step(1));
    const chunkChanged = (/** @type {any} */ event) => this.#chunkChanged(event); // TypeScript does not know this event yet
    elements.transcript.addEventListener('contentvisibilityautostatechange', chunkChanged, { capture: true });
  }

  /** The transcript has changed. */
  changed() {
    if (this.#isDue || !this.#elements.input.value) return;
    this.#isDue = true;
    requestAnimationFrame(() => {
      this.#isDue = false;
      this.#find();
    });
  }

  #leave() {
    this.#elements.input.value = '';
    this.#current = -1;
    this.#find();
    this.#draw();
    this.#elements.input.blur();
  }

  #find() {
    const { transcript, input } = this.#elements;
    const texts = input.value.trim() ? [...transcript.querySelectorAll('.segment-text')] : [];
    const occurrences = texts.flatMap((text) => this.#findIn(text, input.value));
    const isSame = occurrences.length === this.#occurrences.length && occurrences.every((occurrence, i) => occurrence === this.#occurrences[i]);
    if (isSame) return;
    this.#occurrences = occurrences;
    this.#current = Math.min(this.#current, occurrences.length - 1);
    this.#draw();
  }

  /**
   * Every new word searches the whole transcript, which may be hours long, so unchanged texts come from the cache.
   *
   * @param {Element} element
   * @param {string} query
   */
  #findIn(element, query) {
    const parts = [...element.children].map(({ textContent }) => textContent ?? '');
    const state = [query, ...parts].join('\0'); // parts, because words that become stable move to the other element
    const known = this.#cache.get(element);
    if (known?.state === state) return known.occurrences;
    const occurrences = findMatches(parts.join(''), query).map((match) => ({ ...match, element }));
    this.#cache.set(element, { state, occurrences });
    return occurrences;
  }

  /** @param {1 | -1} step */
  #step(step) {
    this.#current = stepMatch(this.#current, this.#occurrences.length, step);
    this.#draw();
    const occurrence = this.#occurrences[this.#current];
    if (!occurrence) return;
    const { top, bottom } = rangeOf(occurrence).getBoundingClientRect();
    if (top < innerHeight / 5 || bottom > (innerHeight * 3) / 5) {
      scrollBy({ top: top - innerHeight / 3, behavior: 'instant' });
    }
  }

  #draw() {
    const { input, count, previous, next } = this.#elements;
    const total = this.#occurrences.length;
    let label = '';
    if (input.value.trim()) label = total > 0 ? `${this.#current + 1} of ${total}` : 'None';
    setText(count, label);
    previous.disabled = total === 0;
    next.disabled = total === 0;
    this.#highlight();
  }

  /** @param {ContentVisibilityAutoStateChangeEvent} event */
  #chunkChanged({ target, skipped }) {
    if (skipped) this.#skipped.add(/** @type {Element} */ (target));
    else this.#skipped.delete(/** @type {Element} */ (target));
    if (this.#occurrences.length > 0) this.#highlight();
  }

  /** Highlight only matches near the window: browsers check every highlight whenever any text changes. */
  #highlight() {
    if (!('highlights' in CSS)) return; // older browsers count and scroll without highlights
    const isNear = (/** @type {Occurrence} */ { element }) => !this.#skipped.has(/** @type {Element} */ (element.closest('.chunk')));
    const current = this.#occurrences[this.#current];
    CSS.highlights.set(ALL, new Highlight(...this.#occurrences.filter(isNear).map(rangeOf)));
    CSS.highlights.set(CURRENT, current && isNear(current) ? new Highlight(rangeOf(current)) : new Highlight());
  }
}
