/**
 * The level meter: the last seconds of loudness as a row of bars, newest at the right.
 * It must not hear anything itself: levels are pushed in.
 */

const BAR_PX = 3;
const GAP_PX = 2;
const SILENT_BAR_PX = 2;

/** One bar gathers this many packets of 40 ms: calm to look at, and still quick. */
const LEVELS_PER_BAR = 2;

export class Meter {
  /** @type {number[]} 0 to 1, oldest first */
  #bars = [];
  #newest = 0;
  #levelsInNewest = 0;
  #isDue = false;
  #canvas;
  #context;

  /** @param {HTMLCanvasElement} canvas its `color` style draws the bars */
  constructor(canvas) {
    this.#canvas = canvas;
    this.#context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext('2d'));
    new ResizeObserver(() => this.#schedule()).observe(canvas);
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => this.#schedule());
  }

  /** @param {number} level 0 to 1 */
  push(level) {
    this.#newest = Math.max(this.#newest, level);
    this.#levelsInNewest += 1;
    if (this.#levelsInNewest < LEVELS_PER_BAR) return;
    this.#bars.push(this.#newest);
    this.#newest = 0;
    this.#levelsInNewest = 0;
    this.#schedule();
  }

  /** Fall silent; called when the microphone closes. */
  reset() {
    this.#bars = [];
    this.#schedule();
  }

  #schedule() {
    if (this.#isDue) return;
    this.#isDue = true;
    requestAnimationFrame(() => {
      this.#isDue = false;
      this.#draw();
    });
  }

  #draw() {
    const { clientWidth: width, clientHeight: height } = this.#canvas;
    const scale = window.devicePixelRatio || 1;
    this.#canvas.width = Math.round(width * scale);
    this.#canvas.height = Math.round(height * scale);
    this.#context.scale(scale, scale);
    this.#context.fillStyle = getComputedStyle(this.#canvas).color;
    const slots = Math.floor((width + GAP_PX) / (BAR_PX + GAP_PX));
    this.#bars = this.#bars.slice(-Math.max(slots, 1));
    const silentSlots = slots - this.#bars.length;
    for (let slot = 0; slot < slots; slot += 1) {
      const level = this.#bars[slot - silentSlots] ?? 0;
      const barHeight = Math.max(SILENT_BAR_PX, level * height);
      this.#context.globalAlpha = 0.25 + 0.75 * level;
      this.#context.beginPath();
      this.#context.roundRect(slot * (BAR_PX + GAP_PX), (height - barHeight) / 2, BAR_PX, barHeight, BAR_PX / 2);
      this.#context.fill();
    }
  }
}
