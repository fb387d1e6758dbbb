/**
 * The timeline on the page: its length, the moment that is looked at by pointer or keyboard, its words, and when to draw.
 * It must not decide what happened or how it is drawn.
 */

import { momentAt, summary } from './timeline-text.js';
import { Levels } from './level-history.js';
import { TimelineView } from './timeline-view.js';
import { LANES, Timeline } from './timeline.js';

/** @import { ServerEvent } from '../connection/protocol.js' */

/** @type {[number, string, string][]} seconds, as written, as spoken */
const SPANS = [
  [30, '30 s', '30 seconds'],
  [60, '1 m', '1 minute'],
  [120, '2 m', '2 minutes'],
  [300, '5 m', '5 minutes'],
  [600, '10 m', '10 minutes'],
];
const HINT = 'Point at the timeline, or use the arrow keys in it, for what happened.';

/** Arrow keys move by this part of what is in sight, Page keys by the other. */
const STEP = 1 / 60;
const PAGE = 1 / 6;

/** Smoother than this nobody sees at such a pace. */
const FRAME_MS = 50;
const SUMMARY_EVERY_MS = 2000;

const CLOCK = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' });

/**
 * @param {string} id
 * @returns {HTMLElement}
 */
const byId = (id) => /** @type {HTMLElement} */ (document.getElementById(id));

const nowS = () => Date.now() / 1000;

export class TimelinePanel {
  #timeline = new Timeline();
  #levels = new Levels();
  #spanS = SPANS[0][0];
  /** @type {number | null} the moment that is looked at; it moves on with what happened then. null while nobody looks */
  #cursorS = null;
  #drawnAtMs = -Infinity;
  #toldAtMs = -Infinity;
  #isInSight = true;
  #plot = byId('timeline-plot');
  #view;

  constructor() {
    const canvas = /** @type {HTMLCanvasElement} */ (byId('timeline-canvas'));
    this.#view = new TimelineView(canvas, this.#timeline, this.#levels);
    byId('timeline-lanes').replaceChildren(...LANES.map(({ label }) => makeElement('li', label)));
    byId('timeline-spans').replaceChildren(...SPANS.map((span) => this.#spanChoice(span)));
    this.#plot.addEventListener('pointermove', (event) => this.#point(event));
    this.#plot.addEventListener('pointerdown', (event) => this.#point(event));
    // A finger leaves whenever it is lifted; what it pointed at stays to be read.
    this.#plot.addEventListener('pointerleave', ({ pointerType }) => pointerType === 'mouse' && this.#look(null));
    this.#plot.addEventListener('blur', () => this.#look(null));
    this.#plot.addEventListener('focus', () => this.#look(this.#cursorS ?? nowS()));
    this.#plot.addEventListener('keydown', (event) => this.#key(event));
    new IntersectionObserver(([entry]) => {
      this.#isInSight = entry.isIntersecting;
    }).observe(this.#plot);
    this.#setSpan(this.#spanS);
    this.#look(null);
    const frame = (/** @type {number} */ atMs) => {
      if (this.#isInSight && atMs - this.#drawnAtMs >= this.#frameMs) this.#draw(atMs);
      requestAnimationFrame(frame);
    };
    requestAnimationFrame(frame);
  }

  /** @param {ServerEvent} event */
  eventArrived(event) {
    this.#timeline.eventArrived(event, nowS());
  }

  disconnected() {
    this.#timeline.disconnected(nowS());
  }

  /** @param {number} level 0 to 1 */
  levelHeard(level) {
    this.#levels.push(level, nowS());
  }

  /** One pixel's worth of time, so that a long timeline costs next to nothing. */
  get #frameMs() {
    return Math.max(FRAME_MS, (this.#spanS * 1000) / Math.max(1, this.#plot.clientWidth));
  }

  /** @param {number} atMs */
  #draw(atMs) {
    this.#drawnAtMs = atMs;
    const now = nowS();
    this.#view.draw({ nowS: now, spanS: this.#spanS, cursorS: this.#cursorS });
    if (atMs - this.#toldAtMs < SUMMARY_EVERY_MS) return;
    this.#toldAtMs = atMs;
    write(byId('timeline-summary'), `In sight: ${summary(this.#timeline, { spanS: this.#spanS, nowS: now })}`);
  }

  /** @param {[number, string, string]} span */
  #spanChoice([spanS, label, spoken]) {
    const choice = makeElement('label', '');
    const input = document.createElement('input');
    input.type = 'radio';
    input.name = 'timeline-span';
    input.value = String(spanS);
    input.checked = spanS === this.#spanS;
    input.setAttribute('aria-label', spoken);
    input.addEventListener('change', () => this.#setSpan(spanS));
    choice.append(input, makeElement('span', label));
    return choice;
  }

  /** @param {number} spanS */
  #setSpan(spanS) {
    this.#spanS = spanS;
    const [, , spoken] = /** @type {typeof SPANS[0]} */ (SPANS.find(([each]) => each === spanS));
    byId('timeline-oldest').textContent = `${spoken} ago`;
    this.#plot.setAttribute('aria-valuemin', String(-spanS));
    this.#plot.setAttribute('aria-valuemax', '0');
    this.#look(this.#cursorS);
    this.#toldAtMs = -Infinity;
  }

  /** @param {PointerEvent} event */
  #point({ clientX }) {
    const { left, width } = this.#plot.getBoundingClientRect();
    const part = Math.min(1, Math.max(0, (clientX - left) / Math.max(1, width)));
    this.#look(nowS() - (1 - part) * this.#spanS);
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    const steps = { ArrowLeft: -STEP, ArrowRight: STEP, ArrowDown: -STEP, ArrowUp: STEP, PageDown: -PAGE, PageUp: PAGE, Home: -1, End: 1 };
    const step = Object.hasOwn(steps, event.key) ? steps[/** @type {keyof typeof steps} */ (event.key)] : null;
    if (step === null) return;
    event.preventDefault();
    this.#look((this.#cursorS ?? nowS()) + step * this.#spanS);
  }

  /** @param {number | null} atS */
  #look(atS) {
    const now = nowS();
    const cursorS = atS === null ? null : Math.min(now, Math.max(now - this.#spanS, atS));
    this.#cursorS = cursorS;
    this.#drawnAtMs = -Infinity;
    const view = { atS: cursorS ?? now, spanS: this.#spanS, nowS: now };
    const happened = momentAt(this.#timeline, view).map(({ label }) => label).join(' · ') || 'nothing';
    const agoS = Math.round(now - view.atS);
    write(byId('timeline-moment'), cursorS === null ? HINT : `${CLOCK.format(new Date(cursorS * 1000))}: ${happened}`);
    this.#plot.setAttribute('aria-valuenow', String(-agoS));
    this.#plot.setAttribute('aria-valuetext', `${agoS === 0 ? 'now' : `${agoS} seconds ago`}: ${happened}`);
  }
}

/**
 * @param {string} tag
 * @param {string} text
 */
function makeElement(tag, text) {
  const element = document.createElement(tag);
  element.textContent = text;
  return element;
}

/**
 * @param {HTMLElement} element
 * @param {string} text
 */
function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
