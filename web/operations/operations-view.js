/**
 * Draws the server's metrics: totals, one card per lane with its charts, and a table of sessions.
 * It neither fetches nor computes them.
 */

import { makeElement, setText } from '../shared/dom.js';
import { Chart } from './operations-chart.js';

/** @import { Metrics, QueueReport, SessionReport, WorkerReport } from '../connection/http-api.js' */
/** @import { LaneHistory, LaneSeries } from './operations-model.js' */

const COLUMNS = ['Session', 'State', 'Utterance', 'Queued', 'Partials', 'Finals', 'Final p95', 'Lost packets'];

const ms = (/** @type {number} */ value) => `${value < 10 ? value.toFixed(1) : Math.round(value)} ms`;
const percent = (/** @type {number} */ value) => `${Math.round(value * 100)} %`;
const count = (/** @type {number} */ value) => value.toLocaleString('en');

/** @type {Record<string, string>} */
const LANES = { main: 'Finals', realtime: 'Partials' };

/** @type {Record<string, string>} */
const MODES = {
  'low-memory-one-model': 'One model produces finals and partials.',
  'balanced-main-plus-realtime': 'Two models: one for finals, one for partials.',
};

/** Card of one lane. Its elements are kept and only updated. */
class LaneCard {
  #queue = new Chart({ title: 'Queue', least: 5, format: count });
  #busy = new Chart({ title: 'Busy', least: 1, format: percent });
  #latency = new Chart({ title: 'Latency', least: 100, format: ms, lines: ['p50', 'p95'] });
  #chip = makeElement('span', 'chip');
  #engine = makeElement('p', 'lane-engine');
  #facts = makeElement('dl', 'facts');

  /**
   * @param {string} name
   * @param {string} title
   */
  constructor(name, title) {
    const head = makeElement('div', 'lane-head', makeElement('h3', '', title), this.#chip);
    const charts = makeElement('div', 'charts', this.#queue.element, this.#busy.element, this.#latency.element);
    this.element = makeElement('article', 'tile lane', head, this.#engine, charts, this.#facts);
    this.element.dataset.testid = 'lane';
    this.element.dataset.lane = name;
  }

  /**
   * @param {WorkerReport} worker
   * @param {QueueReport | undefined} queue
   * @param {LaneSeries} series
   */
  draw(worker, queue, series) {
    const [label, tone] = !worker.healthy ? ['Failed', 'bad'] : worker.ready ? ['Ready', 'good'] : ['Loading', 'busy'];
    this.#chip.textContent = label;
    this.#chip.dataset.tone = tone;
    const parts = [worker.engine, worker.model, worker.device].filter(Boolean);
    this.#engine.textContent = parts.join(' · ') || 'No engine loaded.';
    this.#queue.draw([series.queued]);
    this.#busy.draw([series.busy]);
    this.#latency.draw([series.p50Ms, series.p95Ms]);
    const facts = {
      Completed: count(worker.completedJobs),
      Failed: count(worker.failedJobs),
      Replaced: count(queue?.coalescedRealtime ?? 0),
      'Too old': count(queue?.staleRealtimeDropped ?? 0),
      Rejected: count(queue?.rejectedJobs ?? 0),
      'Busy since start': percent(worker.busyRatio),
      'Queue delay p95': ms(worker.queueDelay.p95Ms),
      'Engine p95': ms(worker.inferenceDuration.p95Ms),
    };
    this.#facts.replaceChildren(
      ...Object.entries(facts).map(([name, value]) => makeElement('div', '', makeElement('dt', '', name), makeElement('dd', '', value))),
    );
  }
}

export class OperationsView {
  /** @type {Map<string, LaneCard>} */
  #lanes = new Map();
  #status = makeElement('p', 'operations-status');
  #totals = makeElement('dl', 'totals');
  #lanesArea = makeElement('div', 'lane-cards');
  #rows = makeElement('tbody', '');
  #noSessions = makeElement('p', 'operations-note');
  #table;

  /** @param {HTMLElement} area */
  constructor(area) {
    this.#status.setAttribute('role', 'status');
    const head = makeElement('tr', '', ...COLUMNS.map((title) => makeElement('th', '', title)));
    head.querySelectorAll('th').forEach((cell) => cell.setAttribute('scope', 'col'));
    this.#table = makeElement('div', 'tile table-frame', makeElement('table', '', makeElement('thead', '', head), this.#rows));
    this.#table.tabIndex = 0; // keyboard users scroll it sideways on a narrow screen
    this.#table.setAttribute('role', 'region');
    this.#table.setAttribute('aria-label', 'Sessions');
    area.append(
      makeElement('h2', '', 'Operations'),
      this.#status,
      this.#totals,
      this.#lanesArea,
      makeElement('h3', 'sessions-title', 'Sessions'),
      this.#noSessions,
      this.#table,
    );
  }

  /** @param {string} reason why there are no metrics */
  fail(reason) {
    this.#showStatus(reason, 'bad');
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
    const texts = [...failures, state, MODES[scheduler.mode] ?? ''];
    this.#showStatus(texts.filter(Boolean).join(' '), failures.length > 0 ? 'bad' : 'good');
    const totals = {
      Sessions: `${count(activeSessions)} of ${count(limits.maxSessions)}`,
      'Talking now': `${count(activeSpeakers)} of ${count(limits.maxActiveSpeakers)}`,
      'Rejected sessions': count(rejectedSessions),
    };
    this.#totals.replaceChildren(
      ...Object.entries(totals).map(([name, value]) => makeElement('div', 'tile', makeElement('dt', '', name), makeElement('dd', '', value))),
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
      activeSessions > 0 ? 'Sessions are listed only on the server’s own machine, or with an admin key.' : 'No client is connected.';
    this.#rows.replaceChildren(...reports.map((report) => sessionRow(report, report.sessionId === ownSession)));
  }

  /**
   * @param {string} text
   * @param {string} tone
   */
  #showStatus(text, tone) {
    setText(this.#status, text);
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
  const name = makeElement('th', '', makeElement('code', '', report.sessionId.slice(0, 8)), isOwn ? ' this page' : '');
  name.setAttribute('scope', 'row');
  const row = makeElement('tr', isOwn ? 'own' : '', name, ...cells.map((cell) => makeElement('td', '', cell)));
  row.dataset.testid = 'session';
  return row;
}
