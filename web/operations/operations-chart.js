/**
 * A small live chart: lines over the last two minutes, its newest figures in words, and a text for those who see none.
 * It must not know what it shows.
 */

import { linePoints, roundTop } from './operations-model.js';

const SVG = 'http://www.w3.org/2000/svg';
const WIDTH = 240;
const HEIGHT = 56;

/**
 * @typedef {object} ChartLook
 * @property {string} title
 * @property {number} least the upper edge is never below this
 * @property {(value: number) => string} words a figure for people
 * @property {string[]} [lines] a name for each line, where there are several
 */

export class Chart {
  #look;
  #now = document.createElement('span');
  #top = document.createElement('span');
  #svg = document.createElementNS(SVG, 'svg');

  /** @param {ChartLook} look */
  constructor(look) {
    this.#look = look;
    this.element = document.createElement('figure');
    this.element.className = 'chart';
    const caption = document.createElement('figcaption');
    caption.textContent = look.title;
    this.#now.className = 'chart-now';
    this.#top.className = 'chart-top';
    this.#top.setAttribute('aria-hidden', 'true');
    caption.append(' ', this.#now);
    this.#svg.setAttribute('viewBox', `0 0 ${WIDTH} ${HEIGHT}`);
    this.#svg.setAttribute('preserveAspectRatio', 'none');
    this.#svg.setAttribute('role', 'img');
    const lines = look.lines ?? [look.title];
    this.#svg.append(
      ...lines.map((_, i) => {
        const line = document.createElementNS(SVG, 'polyline');
        line.setAttribute('class', `line line-${i}`);
        return line;
      }),
    );
    const frame = document.createElement('div');
    frame.className = 'chart-frame';
    frame.append(this.#svg, this.#top);
    this.element.append(caption, frame);
  }

  /** @param {number[][]} series one for each line, newest last */
  draw(series) {
    const { least, words, title, lines } = this.#look;
    const top = roundTop(series.flat(), least);
    series.forEach((figures, i) => this.#svg.children[i].setAttribute('points', linePoints(figures, top, WIDTH, HEIGHT)));
    this.#top.textContent = words(top);
    const newest = series.map((figures, i) => `${lines ? `${lines[i]} ` : ''}${words(figures.at(-1) ?? 0)}`);
    this.#now.textContent = newest.join(', ');
    const most = words(Math.max(0, ...series.flat()));
    this.#svg.setAttribute('aria-label', `${title} over the last two minutes: at most ${most}`);
  }
}
