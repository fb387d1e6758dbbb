/**
 * Search in the transcript: the field, its count, the marks in the text, and the way from match to match.
 * It must not change the text: matches are marked by ranges.
 */

import { findMatches, stepMatch } from './text-search.js';

/** @import { Match } from './text-search.js' */

/** @typedef {Match & {element: Element}} Place */

const ALL = 'found';
const CURRENT = 'found-now';

/** @param {Place} place */
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
  /** @type {Place[]} */
  #places = [];
  /** @type {WeakMap<Element, {state: string, places: Place[]}>} what was found in each text while it read so */
  #found = new WeakMap();
  /** @type {WeakSet<Element>} stretches of the transcript that the browser does not draw */
  #far = new WeakSet();
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
    const moved = (/** @type {any} */ event) => this.#stretchMoved(event); // a name that TypeScript does not know yet
    elements.transcript.addEventListener('contentvisibilityautostatechange', moved, { capture: true });
  }

  /** The transcript reads differently now. */
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
    const places = texts.flatMap((text) => this.#placesIn(text, input.value));
    const isSame = places.length === this.#places.length && places.every((place, i) => place === this.#places[i]);
    if (isSame) return;
    this.#places = places;
    this.#current = Math.min(this.#current, places.length - 1);
    this.#draw();
  }

  /**
   * Hours of transcript are searched at every word that comes: what did not change is not searched again.
   *
   * @param {Element} element
   * @param {string} query
   */
  #placesIn(element, query) {
    const parts = [...element.children].map(({ textContent }) => textContent ?? '');
    const state = [query, ...parts].join('\0'); // words that settle stay the same, and move to another part
    const known = this.#found.get(element);
    if (known?.state === state) return known.places;
    const places = findMatches(parts.join(''), query).map((match) => ({ ...match, element }));
    this.#found.set(element, { state, places });
    return places;
  }

  /** @param {1 | -1} step */
  #step(step) {
    this.#current = stepMatch(this.#current, this.#places.length, step);
    this.#draw();
    const place = this.#places[this.#current];
    if (!place) return;
    const { top, bottom } = rangeOf(place).getBoundingClientRect();
    if (top < innerHeight / 5 || bottom > (innerHeight * 3) / 5) {
      scrollBy({ top: top - innerHeight / 3, behavior: 'instant' });
    }
  }

  #draw() {
    const { input, count, previous, next } = this.#elements;
    const total = this.#places.length;
    let label = '';
    if (input.value.trim()) label = total > 0 ? `${this.#current + 1} of ${total}` : 'None';
    if (count.textContent !== label) count.textContent = label;
    previous.disabled = total === 0;
    next.disabled = total === 0;
    this.#mark();
  }

  /** @param {ContentVisibilityAutoStateChangeEvent} event */
  #stretchMoved({ target, skipped }) {
    if (skipped) this.#far.add(/** @type {Element} */ (target));
    else this.#far.delete(/** @type {Element} */ (target));
    if (this.#places.length > 0) this.#mark();
  }

  /** Mark what is near the window: browsers look at every mark whenever any text changes. */
  #mark() {
    if (!('highlights' in CSS)) return; // older browsers still count and scroll
    const isNear = (/** @type {Place} */ { element }) => !this.#far.has(/** @type {Element} */ (element.closest('.stretch')));
    const current = this.#places[this.#current];
    CSS.highlights.set(ALL, new Highlight(...this.#places.filter(isNear).map(rangeOf)));
    CSS.highlights.set(CURRENT, current && isNear(current) ? new Highlight(rangeOf(current)) : new Highlight());
  }
}
