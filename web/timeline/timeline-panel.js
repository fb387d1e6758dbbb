/**
 * The timeline on the page: its range, the moment selected by pointer or keyboard, its texts, and when to draw.
 * It decides neither the events nor how they are drawn.
 */

import { byId, makeElement, setText } from '../shared/dom.js';
import { timeOfDay } from '../shared/format.js';
import { eventsAt, summary } from './timeline-text.js';
import { LevelHistory } from './level-history.js';
import { TimelineView } from './timeline-view.js';
import { TRACKS, Timeline } from './timeline.js';

/** @import { ServerEvent } from '../connection/protocol.js' */

/** @type {[number, string, string][]} seconds, label, label for screen readers */
const RANGES = [
  [30, '30 s', '30 seconds'],
  [60, '1 m', '1 minute'],
  [120, '2 m', '2 minutes'],
  [300, '5 m', '5 minutes'],
  [600, '10 m', '10 minutes'],
];
const HINT = 'Touch or point at the timeline to see what happened, or use the arrow keys in it.';

/** Steps of the arrow keys and the Page keys, as parts of the range. */
const STEP = 1 / 60;
const PAGE = 1 / 6;

/** Shortest time between two frames; the timeline moves too slowly for more. */
const FRAME_MS = 50;
const SUMMARY_EVERY_MS = 2000;

const nowS = () => Date.now() / 1000;

export class TimelinePanel {
  #timeline = new Timeline();
  #levels = new LevelHistory();
  #rangeS = RANGES[0][0];
  /** @type {number | null} the selected moment; it moves left together with its events. null while none is selected */
  #cursorS = null;
  #drawnAtMs = -Infinity;
  #summaryAtMs = -Infinity;
  #isVisible = true;
  #plot = byId('timeline-plot');
  #view;

  constructor() {
    const canvas = /** @type {HTMLCanvasElement} */ (byId('timeline-canvas'));
    this.#view = new TimelineView(canvas, this.#timeline, this.#levels);
    this.showWakeWords(false);
    byId('timeline-ranges').replaceChildren(...RANGES.map((range) => this.#rangeChoice(range)));
    this.#plot.addEventListener('pointermove', (event) => this.#selectAt(event));
    this.#plot.addEventListener('pointerdown', (event) => this.#selectAt(event));
    // A lifted finger leaves the element, too; its selection stays, so that the text can be read.
    this.#plot.addEventListener('pointerleave', ({ pointerType }) => pointerType === 'mouse' && this.#select(null));
    this.#plot.addEventListener('blur', () => this.#select(null));
    this.#plot.addEventListener('focus', () => this.#select(this.#cursorS ?? nowS()));
    this.#plot.addEventListener('keydown', (event) => this.#onKey(event));
    new IntersectionObserver(([entry]) => {
      this.#isVisible = entry.isIntersecting;
    }).observe(this.#plot);
    this.#setRange(this.#rangeS);
    this.#select(null);
    const frame = (/** @type {number} */ atMs) => {
      if (this.#isVisible && atMs - this.#drawnAtMs >= this.#frameMs) this.#draw(atMs);
      requestAnimationFrame(frame);
    };
    requestAnimationFrame(frame);
  }

  /** @param {boolean} isShown whether there are wake words, so that they have a track */
  showWakeWords(isShown) {
    this.#view.shownRows = TRACKS.filter(({ track }) => isShown || track !== 'wake');
    byId('timeline-tracks').replaceChildren(...this.#view.shownRows.map(({ label }) => makeElement('li', '', label)));
  }

  /** @param {ServerEvent} event */
  eventReceived(event) {
    this.#timeline.eventReceived(event, nowS());
  }

  disconnected() {
    this.#timeline.disconnected(nowS());
  }

  /** @param {number} level 0 to 1 */
  levelMeasured(level) {
    this.#levels.push(level, nowS());
  }

  /** Time in which the timeline moves by one pixel: a long one is drawn rarely. */
  get #frameMs() {
    return Math.max(FRAME_MS, (this.#rangeS * 1000) / Math.max(1, this.#plot.clientWidth));
  }

  /** @param {number} atMs */
  #draw(atMs) {
    this.#drawnAtMs = atMs;
    const now = nowS();
    this.#view.draw({ nowS: now, rangeS: this.#rangeS, cursorS: this.#cursorS });
    if (atMs - this.#summaryAtMs < SUMMARY_EVERY_MS) return;
    this.#summaryAtMs = atMs;
    setText(byId('timeline-summary'), `Shown: ${summary(this.#timeline, { rangeS: this.#rangeS, nowS: now })}`);
  }

  /** @param {[number, string, string]} range */
  #rangeChoice([rangeS, label, spokenLabel]) {
    const choice = makeElement('label');
    const input = document.createElement('input');
    input.type = 'radio';
    input.name = 'timeline-range';
    input.value = String(rangeS);
    input.checked = rangeS === this.#rangeS;
    input.setAttribute('aria-label', spokenLabel);
    input.addEventListener('change', () => this.#setRange(rangeS));
    choice.append(input, makeElement('span', '', label));
    return choice;
  }

  /** @param {number} rangeS */
  #setRange(rangeS) {
    this.#rangeS = rangeS;
    const [, , spokenLabel] = /** @type {typeof RANGES[0]} */ (RANGES.find(([each]) => each === rangeS));
    byId('timeline-oldest').textContent = `${spokenLabel} ago`;
    this.#plot.setAttribute('aria-valuemin', String(-rangeS));
    this.#plot.setAttribute('aria-valuemax', '0');
    this.#select(this.#cursorS);
    this.#summaryAtMs = -Infinity;
  }

  /** @param {PointerEvent} event */
  #selectAt({ clientX }) {
    const { left, width } = this.#plot.getBoundingClientRect();
    const part = Math.min(1, Math.max(0, (clientX - left) / Math.max(1, width)));
    this.#select(nowS() - (1 - part) * this.#rangeS);
  }

  /** @param {KeyboardEvent} event */
  #onKey(event) {
    const steps = { ArrowLeft: -STEP, ArrowRight: STEP, ArrowDown: -STEP, ArrowUp: STEP, PageDown: -PAGE, PageUp: PAGE, Home: -1, End: 1 };
    const step = Object.hasOwn(steps, event.key) ? steps[/** @type {keyof typeof steps} */ (event.key)] : null;
    if (step === null) return;
    event.preventDefault();
    this.#select((this.#cursorS ?? nowS()) + step * this.#rangeS);
  }

  /** @param {number | null} atS */
  #select(atS) {
    const now = nowS();
    const cursorS = atS === null ? null : Math.min(now, Math.max(now - this.#rangeS, atS));
    this.#cursorS = cursorS;
    this.#drawnAtMs = -Infinity;
    const view = { atS: cursorS ?? now, rangeS: this.#rangeS, nowS: now };
    const happened = eventsAt(this.#timeline, view).map(({ label }) => label).join(' · ') || 'nothing';
    const agoS = Math.round(now - view.atS);
    setText(byId('timeline-moment'), cursorS === null ? HINT : `${timeOfDay(cursorS * 1000)}: ${happened}`);
    this.#plot.setAttribute('aria-valuenow', String(-agoS));
    this.#plot.setAttribute('aria-valuetext', `${agoS === 0 ? 'now' : `${agoS} seconds ago`}: ${happened}`);
  }
}
