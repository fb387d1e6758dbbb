/**
 * Draws the timeline on its canvas: a lane each for loudness, wake words, voice, recordings and recognition, now at the right.
 * It must not decide what happened, nor what it says.
 */

import { SLOT_S } from './level-history.js';
import { LANES } from './timeline.js';

/** @import { Levels } from './level-history.js' */
/** @import { Mark, Span, Timeline } from './timeline.js' */

const BAR_PX = 3;
const LANE_PART = 0.5; // of a lane's height: the rest is its label
const LANE_FOOT_PX = 3;
const SPAN_ROUND_PX = 3;
const SHORTEST_SPAN_PX = 3;
const MARK_PX = 2;

/** Colours of the stylesheet, by what they say. */
const TONES = { quiet: '--lane-quiet', busy: '--lane-busy', good: '--lane-good', bad: '--lane-bad' };

/**
 * @typedef {object} Scene
 * @property {number} nowS
 * @property {number} spanS how much is in sight
 * @property {number | null} cursorS the moment that is looked at
 */

export class TimelineView {
  #canvas;
  #context;
  #timeline;
  #levels;

  /**
   * @param {HTMLCanvasElement} canvas
   * @param {Timeline} timeline
   * @param {Levels} levels
   */
  constructor(canvas, timeline, levels) {
    this.#canvas = canvas;
    this.#context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext('2d'));
    this.#timeline = timeline;
    this.#levels = levels;
  }

  /** @param {Scene} scene */
  draw({ nowS, spanS, cursorS }) {
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
    const xOf = (/** @type {number} */ atS) => width - ((nowS - atS) / spanS) * width;
    const laneHeight = height / LANES.length;
    const barHeight = laneHeight * LANE_PART - LANE_FOOT_PX;
    const tops = new Map(LANES.map(({ lane }, i) => [lane, (i + 1) * laneHeight - LANE_FOOT_PX - barHeight]));
    const topOf = (/** @type {Span | Mark} */ { lane }) => tops.get(lane) ?? 0;

    context.fillStyle = style.getPropertyValue('--lane-bed');
    for (const top of tops.values()) context.fillRect(0, top, width, barHeight);
    context.fillStyle = colour('quiet');
    this.#drawLevels({ nowS, spanS, xOf, width, bottom: laneHeight - LANE_FOOT_PX, barHeight });
    for (const span of this.#timeline.spans) {
      const from = Math.max(0, xOf(span.fromS));
      const to = xOf(span.toS ?? nowS);
      if (to < 0) continue;
      context.fillStyle = colour(span.tone);
      context.beginPath();
      context.roundRect(from, topOf(span), Math.max(SHORTEST_SPAN_PX, to - from), barHeight, SPAN_ROUND_PX);
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
   * Bars stand at whole multiples of their own length, so that they move without changing.
   *
   * @param {{nowS: number, spanS: number, xOf: (atS: number) => number, width: number, bottom: number, barHeight: number}} frame
   */
  #drawLevels({ nowS, spanS, xOf, width, bottom, barHeight }) {
    const barS = Math.max(1, Math.ceil((spanS * BAR_PX) / width / SLOT_S)) * SLOT_S;
    const barWidth = (barS / spanS) * width;
    for (let bar = Math.floor((nowS - spanS) / barS); bar * barS <= nowS; bar += 1) {
      const level = this.#levels.loudest(bar * barS, (bar + 1) * barS);
      if (level > 0) this.#context.fillRect(xOf(bar * barS), bottom - level * barHeight, Math.max(1, barWidth - 1), level * barHeight);
    }
  }
}
