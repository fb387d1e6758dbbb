/**
 * The panels that show the server's activity beside the transcript: timeline, event log, and statistics with their chips.
 * They only show; they change nothing in the session.
 */

import { byId, drawChip } from '../shared/dom.js';
import { EventLog } from './event-log.js';
import { EventLogView } from './event-log-view.js';
import { connectionLine, logLine } from './event-log-text.js';
import { SessionStats, drawStats } from './session-stats.js';
import { TimelinePanel } from './timeline-panel.js';

/** @import { ServerEvent } from '../connection/protocol.js' */
/** @import { ConnectionState } from '../connection/server-connection.js' */

/** From this width on, the panels stand beside the transcript and are open. The stylesheets use the same width. */
const WIDE = '(min-width: 54rem)';

export class ActivityPanels {
  #timeline = new TimelinePanel();
  #log = new EventLog();
  #stats = new SessionStats();
  /** @type {ConnectionState['phase']} */
  #phase = 'connecting';
  /** @type {number | null} */
  #latencyMs = null;
  #wakeWords = '';
  #statsCard = /** @type {HTMLDetailsElement} */ (byId('stats'));
  #logView;

  constructor() {
    const logCard = /** @type {HTMLDetailsElement} */ (byId('log'));
    const timelineCard = /** @type {HTMLDetailsElement} */ (byId('timeline'));
    const wide = matchMedia(WIDE);
    const openIfWide = () => {
      logCard.open = wide.matches;
      timelineCard.open = wide.matches;
    };
    openIfWide();
    wide.addEventListener('change', openIfWide); // such as a tablet that is turned
    this.#logView = new EventLogView(this.#log, { card: logCard, list: byId('log-list'), filters: byId('log-filters') });
    this.#showWakeWords(false);
    this.#statsCard.addEventListener('toggle', () => this.#draw());
    // Chips appear and disappear and may wrap. What is sticky below the top bar needs its current height.
    const bar = /** @type {HTMLElement} */ (document.querySelector('.top'));
    const root = document.documentElement;
    new ResizeObserver(() => root.style.setProperty('--top', `${bar.offsetHeight}px`)).observe(bar);
    this.#draw();
  }

  /** @param {ServerEvent} event */
  eventReceived(event) {
    if (event.type === 'hello') this.#showWakeWords(event.server.wakeWords !== '');
    if (event.type === 'status') this.#wakeWords = event.wakeWords;
    this.#timeline.eventReceived(event);
    this.#stats.eventReceived(event);
    const line = logLine(event);
    if (line) this.#log.add(line, Date.now());
    this.#logView.changed();
    this.#draw();
  }

  /** @param {ConnectionState} connection */
  connectionChanged(connection) {
    const line = connectionLine(this.#phase, connection);
    if (line) this.#log.add(line, Date.now());
    if (this.#phase === 'open' && connection.phase !== 'open') {
      this.#timeline.disconnected();
      this.#stats.disconnected();
      this.#latencyMs = null;
    }
    this.#phase = connection.phase;
    this.#logView.changed();
    this.#draw();
  }

  /** @returns {string} the active wake words, separated by commas */
  get wakeWords() {
    return this.#wakeWords;
  }

  /** @param {boolean} isShown */
  #showWakeWords(isShown) {
    this.#timeline.showWakeWords(isShown);
    this.#logView.showWakeWords(isShown);
  }

  /** @param {number} latencyMs */
  latencyMeasured(latencyMs) {
    this.#latencyMs = latencyMs;
    this.#draw();
  }

  /** @param {number} level 0 to 1 */
  levelMeasured(level) {
    this.#timeline.levelMeasured(level);
  }

  #draw() {
    for (const [id, chip] of Object.entries(this.#stats.chips)) drawChip(byId(id), chip);
    if (this.#statsCard.open) drawStats(byId('stats-list'), this.#stats.list(this.#latencyMs));
  }
}
