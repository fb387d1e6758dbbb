/**
 * Draws the timeline on its canvas: one track each for loudness, wake words, voice, utterances and recognition. The right edge
 * is the present. It decides neither the events nor their texts.
 */

import { SLOT_S } from './level-history.js';
import { TRACKS } from './timeline.js';

/** @import { LevelHistory } from './level-history.js' */
/** @import { Mark, Span, Timeline } from './timeline.js' */

const BAR_PX = 3;
const BAR_PART = 0.5; // of a track's height; the label has the rest
const TRACK_FOOT_PX = 3;
const SPAN_ROUND_PX = 3;
const MIN_SPAN_PX = 3;
const MARK_PX = 2;

/** Colours of timeline.css, by tone. */
const TONES = { quiet: '--track-quiet', busy: '--track-busy', good: '--track-good', bad: '--track-bad' };

/**
 * @typedef {object} Scene
 * @property {number} nowS
 * @property {number} rangeS length of the timeline, seconds
 * @property {number | null} cursorS the selected moment
 */

export class TimelineView {
  /** Those shown, from top to bottom. */
  shownRows = TRACKS;
  #canvas;
  #context;
  #timeline;
  #levels;

  /**
   * @param {HTMLCanvasElement} canvas
   * @param {Timeline} timeline
   * @param {LevelHistory} levels
   */
  constructor(canvas, timeline, levels) {
    this.#canvas = canvas;
    this.#context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext('2d'));
    this.#timeline = timeline;
    this.#levels = levels;
  }

  /** @param {Scene} scene */
  draw({ nowS, rangeS, cursorS }) {
    const { clientWidth: width, clientHeight: height } = this.#canvas;
    const scale = window.devicePixelRatio || 1;
    const [pixelWidth, pixelHeight] = [Math.round(width * scale), Math.round(height * scale)];
    if (this.#canvas.width !== pixelWidth || this.#canvas.height !== pixelHeight) {
      this.#canvas.width = pixelWidth;
      this.#canvas.height = pixelHeight;
    }
    const context = this.#context;
    context.setTransform(scale, 0, 0, scale, 0, 0);
    context.clearRect(0, 0, width, height);
    const style = getComputedStyle(this.#canvas);
    const colour = (/** @type {keyof typeof TONES} */ tone) => style.getPropertyValue(TONES[tone]);
    const xOf = (/** @type {number} */ atS) => width - ((nowS - atS) / rangeS) * width;
    const trackHeight = height / this.shownRows.length;
    const barHeight = trackHeight * BAR_PART - TRACK_FOOT_PX;
    const tops = new Map(this.shownRows.map(({ track }, i) => [track, (i + 1) * trackHeight - TRACK_FOOT_PX - barHeight]));
    const topOf = (/** @type {Span | Mark} */ { track }) => tops.get(track) ?? -height; // a track that is not shown

    context.fillStyle = style.getPropertyValue('--track-bed');
    for (const top of tops.values()) context.fillRect(0, top, width, barHeight);
    context.fillStyle = colour('quiet');
    this.#drawLevels({ nowS, rangeS, xOf, width, bottom: trackHeight - TRACK_FOOT_PX, barHeight });
    for (const span of this.#timeline.spans) {
      const from = Math.max(0, xOf(span.fromS));
      const to = xOf(span.toS ?? nowS);
      if (to < 0) continue;
      context.fillStyle = colour(span.tone);
      context.beginPath();
      context.roundRect(from, topOf(span), Math.max(MIN_SPAN_PX, to - from), barHeight, SPAN_ROUND_PX);
      context.fill();
    }
    for (const mark of this.#timeline.marks) {
      const x = xOf(mark.atS);
      if (x < 0) continue;
      context.fillStyle = colour(mark.tone);
      const inset = mark.tone === 'quiet' ? barHeight / 3 : 0;
      context.fillRect(x - MARK_PX / 2, topOf(mark) + inset, MARK_PX, barHeight - 2 * inset);
    }
    if (cursorS !== null && xOf(cursorS) >= 0) {
      context.fillStyle = style.color;
      context.fillRect(Math.min(width - 1, xOf(cursorS)), 0, 1, height);
    }
  }

  /**
   * A bar starts at a multiple of its own length in time, so bars move with the time without changing their height.
   *
   * @param {{nowS: number, rangeS: number, xOf: (atS: number) => number, width: number, bottom: number, barHeight: number}} frame
   */
  #drawLevels({ nowS, rangeS, xOf, width, bottom, barHeight }) {
    const barS = Math.max(1, Math.ceil((rangeS * BAR_PX) / width / SLOT_S)) * SLOT_S;
    const barWidth = (barS / rangeS) * width;
    for (let bar = Math.floor((nowS - rangeS) / barS); bar * barS <= nowS; bar += 1) {
      const level = this.#levels.max(bar * barS, (bar + 1) * barS);
      if (level > 0) this.#context.fillRect(xOf(bar * barS), bottom - level * barHeight, Math.max(1, barWidth - 1), level * barHeight);
    }
  }
}
