/**
 * Draws the server's figures: totals, one card for each lane with its charts, and a table of sessions.
 * It must not ask for them or work them out.
 */

import { Chart } from './operations-chart.js';

/** @import { Metrics, QueueReport, SessionReport, WorkerReport } from '../connection/http-api.js' */
/** @import { LaneHistory } from './operations-model.js' */

const COLUMNS = ['Session', 'State', 'Recording', 'Queued', 'Partials', 'Finals', 'Final p95', 'Lost packets'];

const ms = (/** @type {number} */ value) => `${value < 10 ? value.toFixed(1) : Math.round(value)} ms`;
const percent = (/** @type {number} */ value) => `${Math.round(value * 100)} %`;
const count = (/** @type {number} */ value) => value.toLocaleString('en');

/** @type {Record<string, string>} */
const LANES = { main: 'Finals', realtime: 'Partials' };

/** @type {Record<string, string>} */
const MODES = {
  'low-memory-one-model': 'One model makes finals and partials.',
  'balanced-main-plus-realtime': 'Two models: one for finals, one for partials.',
};

/**
 * @param {string} tag
 * @param {string} className
 * @param {...(Node | string)} children
 */
function make(tag, className, ...children) {
  const element = document.createElement(tag);
  element.className = className;
  element.append(...children);
  return element;
}

/** Charts and facts of one lane, kept so that only what changes is written. */
class LaneCard {
  #queue = new Chart({ title: 'Queue', least: 5, words: count });
  #busy = new Chart({ title: 'Busy', least: 1, words: percent });
  #latency = new Chart({ title: 'Latency', least: 100, words: ms, lines: ['p50', 'p95'] });
  #chip = make('span', 'chip');
  #engine = make('p', 'lane-engine');
  #facts = make('dl', 'facts');

  /**
   * @param {string} name
   * @param {string} title
   */
  constructor(name, title) {
    const head = make('div', 'lane-head', make('h3', '', title), this.#chip);
    const charts = make('div', 'charts', this.#queue.element, this.#busy.element, this.#latency.element);
    this.element = make('article', 'tile lane', head, this.#engine, charts, this.#facts);
    this.element.dataset.testid = 'lane';
    this.element.dataset.lane = name;
  }

  /**
   * @param {WorkerReport} worker
   * @param {QueueReport | undefined} queue
   * @param {import('./operations-model.js').LaneFigures} figures
   */
  draw(worker, queue, figures) {
    const [label, tone] = !worker.healthy ? ['Failed', 'bad'] : worker.ready ? ['Ready', 'good'] : ['Loading', 'busy'];
    this.#chip.textContent = label;
    this.#chip.dataset.tone = tone;
    const parts = [worker.engine, worker.model, worker.device].filter(Boolean);
    this.#engine.textContent = parts.join(' · ') || 'No engine is loaded.';
    this.#queue.draw([figures.queued]);
    this.#busy.draw([figures.busy]);
    this.#latency.draw([figures.p50Ms, figures.p95Ms]);
    const facts = {
      Completed: count(worker.completedJobs),
      Failed: count(worker.failedJobs),
      Replaced: count(queue?.coalescedRealtime ?? 0),
      'Too old': count(queue?.staleRealtimeDropped ?? 0),
      Refused: count(queue?.rejectedJobs ?? 0),
      'Busy since start': percent(worker.busyRatio),
      'Waiting p95': ms(worker.queueDelay.p95Ms),
      'Engine p95': ms(worker.inferenceDuration.p95Ms),
    };
    this.#facts.replaceChildren(
      ...Object.entries(facts).map(([name, value]) => make('div', '', make('dt', '', name), make('dd', '', value))),
    );
  }
}

export class OperationsView {
  /** @type {Map<string, LaneCard>} */
  #lanes = new Map();
  #status = make('p', 'operations-status');
  #totals = make('dl', 'totals');
  #lanesArea = make('div', 'lane-cards');
  #rows = make('tbody', '');
  #noSessions = make('p', 'operations-note');
  #table;

  /** @param {HTMLElement} area */
  constructor(area) {
    this.#status.setAttribute('role', 'status');
    const head = make('tr', '', ...COLUMNS.map((title) => make('th', '', title)));
    head.querySelectorAll('th').forEach((cell) => cell.setAttribute('scope', 'col'));
    this.#table = make('div', 'tile table-frame', make('table', '', make('thead', '', head), this.#rows));
    this.#table.tabIndex = 0; // it scrolls sideways where it does not fit
    this.#table.setAttribute('role', 'region');
    this.#table.setAttribute('aria-label', 'Sessions');
    area.append(
      make('h2', '', 'Operations'),
      this.#status,
      this.#totals,
      this.#lanesArea,
      make('h3', 'sessions-title', 'Sessions'),
      this.#noSessions,
      this.#table,
    );
  }

  /** @param {string} why there are no figures */
  fail(why) {
    this.#say(why, 'bad');
    this.#table.hidden = this.#rows.childElementCount === 0;
  }

  /**
   * @param {Metrics} metrics
   * @param {LaneHistory} history
   * @param {string} ownSession
   */
  draw(metrics, history, ownSession) {
    const { activeSessions, activeSpeakers, rejectedSessions, limits, scheduler } = metrics;
    const failures = metrics.startupErrors.map(({ message }) => `An engine failed: ${message}.`);
    const state = metrics.ready || failures.length > 0 ? '' : 'Models are still loading.';
    const words = [...failures, state, MODES[scheduler.mode] ?? ''];
    this.#say(words.filter(Boolean).join(' '), failures.length > 0 ? 'bad' : 'good');
    const totals = {
      Sessions: `${count(activeSessions)} of ${count(limits.maxSessions)}`,
      'Talking now': `${count(activeSpeakers)} of ${count(limits.maxActiveSpeakers)}`,
      'Turned away': count(rejectedSessions),
    };
    this.#totals.replaceChildren(
      ...Object.entries(totals).map(([name, value]) => make('div', 'tile', make('dt', '', name), make('dd', '', value))),
    );
    for (const [name, worker] of Object.entries(scheduler.workers)) {
      this.#laneCard(name, Object.keys(scheduler.workers).length).draw(worker, scheduler.queues[name], history.of(name));
    }
    this.#drawSessions(metrics, ownSession);
  }

  /**
   * @param {string} name
   * @param {number} laneCount
   */
  #laneCard(name, laneCount) {
    const title = laneCount === 1 ? 'Finals and partials' : (LANES[name] ?? name);
    const card = this.#lanes.get(name) ?? new LaneCard(name, title);
    if (!this.#lanes.has(name)) this.#lanesArea.append(card.element);
    this.#lanes.set(name, card);
    return card;
  }

  /**
   * @param {Metrics} metrics
   * @param {string} ownSession
   */
  #drawSessions({ sessions, activeSessions }, ownSession) {
    const reports = Object.values(sessions);
    this.#table.hidden = reports.length === 0;
    this.#noSessions.hidden = reports.length > 0;
    this.#noSessions.textContent =
      activeSessions > 0 ? 'Single sessions are shown on the server’s own machine only, or with an admin key.' : 'Nobody is connected.';
    this.#rows.replaceChildren(...reports.map((report) => sessionRow(report, report.sessionId === ownSession)));
  }

  /**
   * @param {string} words
   * @param {string} tone
   */
  #say(words, tone) {
    if (this.#status.textContent !== words) this.#status.textContent = words;
    this.#status.dataset.tone = tone;
  }
}

/**
 * @param {SessionReport} report
 * @param {boolean} isOwn
 */
function sessionRow(report, isOwn) {
  const cells = [
    report.state.replaceAll('_', ' '),
    report.recording ? `${report.recordingSeconds.toFixed(1)} s` : '–',
    count(report.queueDepth),
    count(report.realtimeCompleted),
    count(report.finalCompleted),
    ms(report.totalLatency.final.p95Ms),
    count(report.droppedAudioChunks + report.rejectedAudioChunks),
  ];
  const name = make('th', '', make('code', '', report.sessionId.slice(0, 8)), isOwn ? ' this page' : '');
  name.setAttribute('scope', 'row');
  const row = make('tr', isOwn ? 'own' : '', name, ...cells.map((cell) => make('td', '', cell)));
  row.dataset.testid = 'session';
  return row;
}
