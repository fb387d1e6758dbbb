/**
 * Draws the event log and its filters while its card is open. It decides neither which entries are kept nor their texts.
 */

import { makeElement } from '../shared/dom.js';
import { timeOfDay } from '../shared/format.js';
import { LOG_KINDS } from './event-log.js';

/** @import { EventLog, LogEntry } from './event-log.js' */

/** @param {LogEntry} entry */
function drawEntry({ id, atMs, kind, tone, title, detail, count }) {
  const row = makeElement('li', 'log-entry');
  row.dataset.id = String(id);
  row.dataset.count = String(count);
  row.dataset.kind = kind;
  row.dataset.tone = tone;
  const head = makeElement('span', 'log-title', count > 1 ? `${title} (${count} times)` : title);
  row.append(makeElement('time', 'log-time', timeOfDay(atMs)), head);
  if (detail) {
    const text = makeElement('span', 'log-detail', detail);
    text.dir = 'auto';
    row.append(text);
  }
  return row;
}

export class EventLogView {
  #isDue = false;
  #log;
  #card;
  #list;
  #filters;

  /**
   * @param {EventLog} log
   * @param {{card: HTMLDetailsElement, list: HTMLElement, filters: HTMLElement}} elements
   */
  constructor(log, { card, list, filters }) {
    this.#log = log;
    this.#card = card;
    this.#list = list;
    this.#filters = filters;
    filters.replaceChildren(...LOG_KINDS.map((kind) => this.#filter(kind)));
    card.addEventListener('toggle', () => this.changed());
  }

  /** @param {boolean} isShown whether there are wake words, so that they have a filter */
  showWakeWords(isShown) {
    const filter = /** @type {HTMLElement} */ (this.#filters.querySelector('[data-kind=wake]'));
    filter.hidden = !isShown;
  }

  /** Draw in the next frame, once for all events that arrive before it. */
  changed() {
    if (this.#isDue || !this.#card.open) return;
    this.#isDue = true;
    requestAnimationFrame(() => {
      this.#isDue = false;
      this.#draw();
    });
  }

  /** @param {typeof LOG_KINDS[0]} kind */
  #filter({ kind, label }) {
    const button = /** @type {HTMLButtonElement} */ (makeElement('button', 'filter', label));
    button.type = 'button';
    button.dataset.kind = kind;
    button.setAttribute('aria-pressed', String(this.#log.isShown(kind)));
    button.addEventListener('click', () => {
      this.#log.toggle(kind);
      button.setAttribute('aria-pressed', String(this.#log.isShown(kind)));
      this.changed();
    });
    return button;
  }

  #draw() {
    const rows = new Map([...this.#list.querySelectorAll('li')].map((row) => [`${row.dataset.id}/${row.dataset.count}`, row]));
    const wanted = this.#log.shown.map((entry) => rows.get(`${entry.id}/${entry.count}`) ?? drawEntry(entry));
    const kept = new Set(wanted);
    for (const row of rows.values()) if (!kept.has(row)) row.remove();
    // Insert only new rows, so that existing ones keep their selection and scroll position.
    wanted.forEach((row, i) => {
      if (this.#list.children[i] !== row) this.#list.insertBefore(row, this.#list.children[i] ?? null);
    });
  }
}
