/**
 * Draws the queue of files: one row each, with its progress and a button that removes it.
 */

import { makeElement, setText } from '../shared/dom.js';

/** @import { FileState } from './file-queue.js' */

/** @type {Record<FileState['phase'], string>} */
const PHASES = { waiting: 'Waiting', sending: 'Sending', transcribing: 'Transcribing', done: 'Done', failed: '' };

export class FileQueueView {
  /** @type {Map<number, HTMLElement>} */
  #rows = new Map();
  #list;
  #actions;

  /**
   * @param {HTMLElement} list
   * @param {{onRemove: (id: number) => void, onRetry: (id: number) => void}} actions
   */
  constructor(list, actions) {
    this.#list = list;
    this.#actions = actions;
  }

  /** @param {FileState[]} files */
  draw(files) {
    const ids = new Set(files.map(({ id }) => id));
    for (const [id, row] of this.#rows) {
      if (ids.has(id)) continue;
      row.remove();
      this.#rows.delete(id);
    }
    files.forEach((file) => this.#drawRow(file));
    this.#list.hidden = files.length === 0;
  }

  /** @param {FileState} file */
  #drawRow({ id, name, phase, progress, message, mayRetry }) {
    const row = this.#rows.get(id) ?? this.#addRow(id, name);
    const [, text, bar, again] = /** @type {[Element, Element, HTMLProgressElement, HTMLElement]} */ (/** @type {unknown} */ (row.children));
    again.hidden = !mayRetry;
    row.dataset.phase = phase;
    setText(text, message || (progress === null ? PHASES[phase] : `${PHASES[phase]} ${Math.round(progress * 100)} %`));
    bar.hidden = phase === 'failed' || phase === 'waiting';
    if (progress === null) bar.removeAttribute('value');
    else bar.value = progress;
  }

  /**
   * @param {number} id
   * @param {string} name
   */
  #addRow(id, name) {
    const bar = document.createElement('progress');
    bar.setAttribute('aria-label', name);
    const remove = /** @type {HTMLButtonElement} */ (makeElement('button', 'quiet-button dismiss', '×'));
    remove.type = 'button';
    remove.setAttribute('aria-label', `Remove ${name}`);
    remove.addEventListener('click', () => this.#actions.onRemove(id));
    const again = /** @type {HTMLButtonElement} */ (makeElement('button', 'quiet-button again', 'Try again'));
    again.type = 'button';
    again.addEventListener('click', () => this.#actions.onRetry(id));
    const row = makeElement('li', 'file', makeElement('span', 'file-name', name), makeElement('span', 'file-state'), bar, again, remove);
    row.dataset.testid = 'file';
    this.#rows.set(id, row);
    this.#list.append(row);
    return row;
  }
}
