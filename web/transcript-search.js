/**
 * Search in the transcript: the field, its count, the marks in the text, and the way from match to match.
 * It must not change the text: matches are marked by ranges.
 */

import { findMatches, stepMatch } from './search.js';

const ALL = 'found';
const CURRENT = 'found-now';

/**
 * @param {Element} element
 * @param {number} start code units in its text
 * @param {number} end
 */
function rangeIn(element, start, end) {
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
  /** @type {Range[]} */
  #ranges = [];
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
    this.#elements.input.blur();
  }

  #find() {
    const { transcript, input } = this.#elements;
    const texts = [...transcript.querySelectorAll('.segment-text')];
    const matches = findMatches(texts.map(({ textContent }) => textContent ?? ''), input.value);
    this.#ranges = matches.map(({ text, start, end }) => rangeIn(texts[text], start, end));
    this.#current = Math.min(this.#current, this.#ranges.length - 1);
    this.#draw();
  }

  /** @param {1 | -1} step */
  #step(step) {
    this.#current = stepMatch(this.#current, this.#ranges.length, step);
    this.#draw();
    const range = this.#ranges[this.#current];
    if (!range) return;
    const { top, bottom } = range.getBoundingClientRect();
    if (top < innerHeight / 5 || bottom > (innerHeight * 3) / 5) {
      scrollBy({ top: top - innerHeight / 3, behavior: 'instant' });
    }
  }

  #draw() {
    const { input, count, previous, next } = this.#elements;
    const total = this.#ranges.length;
    let label = '';
    if (input.value.trim()) label = total > 0 ? `${this.#current + 1} of ${total}` : 'None';
    if (count.textContent !== label) count.textContent = label;
    previous.disabled = total === 0;
    next.disabled = total === 0;
    if (!('highlights' in CSS)) return; // older browsers still count and scroll
    const current = this.#ranges[this.#current];
    CSS.highlights.set(ALL, new Highlight(...this.#ranges));
    CSS.highlights.set(CURRENT, current ? new Highlight(current) : new Highlight());
  }
}
