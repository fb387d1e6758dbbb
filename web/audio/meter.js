/**
 * Draws the level meter: the waveform of the last seconds, newest at the right, and beside it the level with its peak.
 * Packets are pushed in; it does not capture.
 */

import { FLOOR_DB, MeterModel } from './meter-model.js';

const COLUMN_PX = 2;
const GAP_PX = 1;
const LEVEL_PX = 6;
const LEVEL_GAP_PX = 8;
const COLUMNS_PER_PACKET = 1;

/** Square root: quiet speech is a small part of the linear range and would be invisible. */
const compress = (/** @type {number} */ value) => Math.sign(value) * Math.sqrt(Math.abs(value));

/** How often the value for screen readers is updated. */
const ARIA_EVERY_MS = 1000;

export class Meter {
  #model = new MeterModel(COLUMNS_PER_PACKET);
  #isDue = false;
  #ariaAtMs = 0;
  #canvas;
  #context;

  /** @param {HTMLCanvasElement} canvas its CSS `color` and the page's colour tokens are used */
  constructor(canvas) {
    this.#canvas = canvas;
    this.#context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext('2d'));
    new ResizeObserver(() => this.#schedule()).observe(canvas);
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => this.#schedule());
  }

  /** @param {Float32Array} samples one packet, range -1 to 1 */
  push(samples) {
    this.#model.push(samples);
    this.#schedule();
  }

  /** Back to silence, when the source closes. */
  reset() {
    this.#model.reset();
    this.#schedule();
  }

  #schedule() {
    if (this.#isDue) return;
    this.#isDue = true;
    requestAnimationFrame((nowMs) => {
      this.#isDue = false;
      this.#draw();
      if (nowMs - this.#ariaAtMs < ARIA_EVERY_MS) return;
      this.#ariaAtMs = nowMs;
      this.#canvas.setAttribute('aria-valuenow', String(Math.round(this.#model.level)));
      this.#canvas.setAttribute('aria-valuetext', `${Math.round(this.#model.level)} decibels`);
    });
  }

  #draw() {
    const { clientWidth: width, clientHeight: height } = this.#canvas;
    const scale = window.devicePixelRatio || 1;
    this.#canvas.width = Math.round(width * scale);
    this.#canvas.height = Math.round(height * scale);
    this.#context.scale(scale, scale);
    const style = getComputedStyle(this.#canvas);
    this.#drawWave(width - LEVEL_PX - LEVEL_GAP_PX, height, style.color, style.getPropertyValue('--bad'));
    this.#drawLevel(width, height, style.color, style.getPropertyValue('--line'));
  }

  /**
   * @param {number} width
   * @param {number} height
   * @param {string} color
   * @param {string} clippedColor
   */
  #drawWave(width, height, color, clippedColor) {
    const slots = Math.floor((width + GAP_PX) / (COLUMN_PX + GAP_PX));
    const columns = this.#model.newest(slots);
    const empty = slots - columns.length;
    const middle = height / 2;
    for (let slot = 0; slot < slots; slot += 1) {
      const column = columns[slot - empty] ?? { low: 0, high: 0, isClipped: false };
      const top = Math.min(middle - compress(column.high) * middle, middle - COLUMN_PX / 2);
      const bottom = Math.max(middle - compress(column.low) * middle, middle + COLUMN_PX / 2);
      this.#context.globalAlpha = slot < empty ? 0.35 : 1;
      this.#context.fillStyle = column.isClipped ? clippedColor : color;
      this.#context.beginPath();
      this.#context.roundRect(slot * (COLUMN_PX + GAP_PX), top, COLUMN_PX, bottom - top, COLUMN_PX / 2);
      this.#context.fill();
    }
    this.#context.globalAlpha = 1;
  }

  /**
   * @param {number} width
   * @param {number} height
   * @param {string} color
   * @param {string} trackColor
   */
  #drawLevel(width, height, color, trackColor) {
    const heightOf = (/** @type {number} */ db) => ((db - FLOOR_DB) / -FLOOR_DB) * height;
    const x = width - LEVEL_PX;
    this.#context.fillStyle = trackColor;
    this.#context.fillRect(x, 0, LEVEL_PX, height);
    this.#context.fillStyle = color;
    this.#context.fillRect(x, height - heightOf(this.#model.level), LEVEL_PX, heightOf(this.#model.level));
    const peak = heightOf(this.#model.peak);
    if (peak > 0) this.#context.fillRect(x, Math.max(0, height - peak - 2), LEVEL_PX, 2);
  }
}
