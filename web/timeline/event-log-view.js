/**
 * Draws the event log and its filters, while it is open. It must not decide what is kept or how it reads.
 */

import { LOG_KINDS } from './event-log.js';

/** @import { Log, LogEntry } from './event-log.js' */

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

/** @param {LogEntry} entry */
function drawEntry({ id, atMs, kind, tone, title, detail, count }) {
  const row = make('li', 'log-entry');
  row.dataset.id = String(id);
  row.dataset.count = String(count);
  row.dataset.kind = kind;
  row.dataset.tone = tone;
  const head = make('span', 'log-title', count > 1 ? `${title} (${count} times)` : title);
  row.append(make('time', 'log-time', CLOCK.format(new Date(atMs))), head);
  if (detail) {
    const words = make('span', 'log-detail', detail);
    words.dir = 'auto';
    row.append(words);
  }
  return row;
}

export class LogView {
  #isDue = false;
  #log;
  #card;
  #list;

  /**
   * @param {Log} log
   * @param {{card: HTMLDetailsElement, list: HTMLElement, filters: HTMLElement}} elements
   */
  constructor(log, { card, list, filters }) {
    this.#log = log;
    this.#card = card;
    this.#list = list;
    filters.replaceChildren(...LOG_KINDS.map((kind) => this.#filter(kind)));
    card.addEventListener('toggle', () => this.changed());
  }

  /** Draw at the next frame; many events may come in one. */
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
    const button = /** @type {HTMLButtonElement} */ (make('button', 'filter', label));
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
    // Newest first: only what is new is inserted, what stands stays as it is.
    wanted.forEach((row, i) => {
      if (this.#list.children[i] !== row) this.#list.insertBefore(row, this.#list.children[i] ?? null);
    });
  }
}
