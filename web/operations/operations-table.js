/**
 * A table of figures whose columns explain themselves, as those of `operations-facts` do.
 */

import { makeElement } from '../shared/dom.js';
import { explanation } from './operations-facts.js';

/** @typedef {{title: string, help: string}} Column */
/** @typedef {{id: string, name: (string | Node)[], cells: string[], isOwn?: boolean}} Row */

export class OperationsTable {
  #body = makeElement('tbody', '');
  #testId;

  /**
   * @param {string} label for screen readers
   * @param {string} testId of its rows
   * @param {Column[]} columns
   */
  constructor(label, testId, columns) {
    const cells = columns.map(({ title, help }) => {
      const cell = makeElement('th', '', title, explanation(help));
      cell.setAttribute('scope', 'col');
      cell.title = help;
      return cell;
    });
    const table = makeElement('table', '', makeElement('thead', '', makeElement('tr', '', ...cells)), this.#body);
    this.element = makeElement('div', 'tile table-frame', table);
    this.element.tabIndex = 0; // keyboard users scroll it sideways on a narrow screen
    this.element.setAttribute('role', 'region');
    this.element.setAttribute('aria-label', label);
    this.element.hidden = true;
    this.#testId = testId;
  }

  get isEmpty() {
    return this.#body.childElementCount === 0;
  }

  /** @param {Row[]} rows */
  draw(rows) {
    this.element.hidden = rows.length === 0;
    this.#body.replaceChildren(...rows.map((row) => this.#row(row)));
  }

  /** @param {Row} row */
  #row({ id, name, cells, isOwn = false }) {
    const head = makeElement('th', '', ...name);
    head.setAttribute('scope', 'row');
    const row = makeElement('tr', isOwn ? 'own' : '', head, ...cells.map((cell) => makeElement('td', '', cell)));
    row.dataset.testid = this.#testId;
    row.dataset.id = id;
    return row;
  }
}
