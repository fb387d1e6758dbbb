/**
 * A small live chart: lines over the last two minutes or the last hour, the newest values as text, and a description for screen readers.
 * It does not know what it shows.
 */

import { makeElement } from '../shared/dom.js';
import { explanation } from './operations-facts.js';
import { linePoints, roundTop } from './operations-model.js';

const SVG = 'http://www.w3.org/2000/svg';
const WIDTH = 240;
const HEIGHT = 56;

/**
 * @typedef {object} ChartOptions
 * @property {string} title
 * @property {number} least lowest value of the upper edge
 * @property {(value: number) => string} format
 * @property {string[]} [lines] names of the lines, if there are several
 * @property {string} help what it shows
 * @property {{name: string, samples: number}} [span] by default two minutes
 */

export class Chart {
  #options;
  #now = makeElement('span', 'chart-now');
  #top = makeElement('span', 'chart-top');
  #svg = document.createElementNS(SVG, 'svg');

  /** @param {ChartOptions} options */
  constructor(options) {
    this.#options = options;
    this.#top.setAttribute('aria-hidden', 'true');
    this.#svg.setAttribute('viewBox', `0 0 ${WIDTH} ${HEIGHT}`);
    this.#svg.setAttribute('preserveAspectRatio', 'none');
    this.#svg.setAttribute('role', 'img');
    const lines = options.lines ?? [options.title];
    this.#svg.append(
      ...lines.map((_, i) => {
        const line = document.createElementNS(SVG, 'polyline');
        line.setAttribute('class', `line line-${i}`);
        return line;
      }),
    );
    const caption = makeElement('figcaption', '', options.title, ' ', this.#now);
    this.element = makeElement('figure', 'chart', caption, makeElement('div', 'chart-frame', this.#svg, this.#top), explanation(options.help));
    this.element.title = options.help;
  }

  /** @param {number[][]} series one per line, newest last */
  draw(series) {
    const { least, format, title, lines } = this.#options;
    const top = roundTop(series.flat(), least);
    series.forEach((values, i) => this.#svg.children[i].setAttribute('points', linePoints(values, top, WIDTH, HEIGHT, this.#options.span?.samples)));
    this.#top.textContent = format(top);
    const newest = series.map((values, i) => `${lines ? `${lines[i]} ` : ''}${format(values.at(-1) ?? 0)}`);
    this.#now.textContent = newest.join(', ');
    const highest = format(Math.max(0, ...series.flat()));
    this.#svg.setAttribute('aria-label', `${title} over the last ${this.#options.span?.name ?? 'two minutes'}: at most ${highest}`);
  }
}
