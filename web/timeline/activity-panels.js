/**
 * Everything that shows what the server is doing besides the words: timeline, event log, figures and their chips.
 * It must not change what the session does.
 */

import { drawChip, drawFigures, Figures } from './session-stats.js';
import { Log } from './event-log.js';
import { LogView } from './event-log-view.js';
import { linkLine, logLine } from './event-log-text.js';
import { TimelinePanel } from './timeline-panel.js';

/** @import { LinkState } from '../connection/server-connection.js' */
/** @import { ServerEvent } from '../connection/protocol.js' */

/** From this width on there is room for everything at once. */
const WIDE = '(min-width: 54rem)';

/**
 * @template {HTMLElement} [T=HTMLElement]
 * @param {string} id
 * @returns {T}
 */
const byId = (id) => /** @type {T} */ (document.getElementById(id));

export class Observer {
  #timeline = new TimelinePanel();
  #log = new Log();
  #figures = new Figures();
  /** @type {LinkState['phase']} */
  #phase = 'connecting';
  /** @type {number | null} */
  #roundTripMs = null;
  #wakeWords = '';
  #figuresCard = /** @type {HTMLDetailsElement} */ (byId('figures'));
  #logView;

  constructor() {
    const card = /** @type {HTMLDetailsElement} */ (byId('log'));
    const wide = matchMedia(WIDE);
    const openWhereWide = () => {
      for (const each of [card, /** @type {HTMLDetailsElement} */ (byId('timeline'))]) each.open = wide.matches;
    };
    openWhereWide();
    wide.addEventListener('change', openWhereWide); // a tablet that is turned
    this.#logView = new LogView(this.#log, { card, list: byId('log-list'), filters: byId('log-filters') });
    this.#figuresCard.addEventListener('toggle', () => this.#draw());
    // Chips come and go, and may fill a second line: what sticks below the bar must know how high it is.
    const bar = /** @type {HTMLElement} */ (document.querySelector('.top'));
    const root = document.documentElement;
    new ResizeObserver(() => root.style.setProperty('--top', `${bar.offsetHeight}px`)).observe(bar);
    this.#draw();
  }

  /** @param {ServerEvent} event */
  eventArrived(event) {
    if (event.type === 'status') this.#wakeWords = event.wakeWords;
    this.#timeline.eventArrived(event);
    this.#figures.eventArrived(event);
    const line = logLine(event);
    if (line) this.#log.add(line, Date.now());
    this.#logView.changed();
    this.#draw();
  }

  /** @param {LinkState} link */
  linkChanged(link) {
    const line = linkLine(this.#phase, link);
    if (line) this.#log.add(line, Date.now());
    if (this.#phase === 'open' && link.phase !== 'open') {
      this.#timeline.disconnected();
      this.#figures.disconnected();
      this.#roundTripMs = null;
    }
    this.#phase = link.phase;
    this.#logView.changed();
    this.#draw();
  }

  /** @returns {string} the wake words that are listened for, with commas between */
  get wakeWords() {
    return this.#wakeWords;
  }

  /** @param {number} roundTripMs */
  latencyMeasured(roundTripMs) {
    this.#roundTripMs = roundTripMs;
    this.#draw();
  }

  /** @param {number} level 0 to 1 */
  levelHeard(level) {
    this.#timeline.levelHeard(level);
  }

  #draw() {
    for (const [id, chip] of Object.entries(this.#figures.chips)) drawChip(byId(id), chip);
    if (this.#figuresCard.open) drawFigures(byId('figures-list'), this.#figures.list(this.#roundTripMs));
  }
}
