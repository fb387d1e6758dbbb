/**
 * Draws the server's metrics: totals, one card per lane with its charts, and a table of sessions.
 * It neither fetches nor computes them.
 */

import { makeElement, setText } from '../shared/dom.js';
import { Chart } from './operations-chart.js';

/** @import { History, Metrics, QueueReport, SessionReport, WorkerReport } from '../connection/http-api.js' */
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

/** @type {Record<string, string>} what a figure means, on hover */
const HELP = {
  Sessions: 'Connected clients, and those that may still resume',
  'Talking now': 'Sessions with a running utterance',
  'Refused clients': 'Clients that were refused a session since the start',
  'Up for': 'Time since the server started',
  Version: 'Version of the server',
  Completed: 'Jobs that gave a text',
  Failed: 'Jobs that the engine failed at',
  Replaced: 'Partials that a newer one replaced in the queue',
  'Too old': 'Partials that waited too long and were dropped',
  Rejected: 'Jobs that found the queue full',
  'Busy since start': 'Share of the time in which an engine worked',
  'Queue delay p95': '95 of 100 jobs wait at most this long',
  'Engine p95': '95 of 100 jobs take the engine at most this long',
  Workers: 'Engines that serve, of those that the lane should have',
  Restarts: 'Engines that were given up and replaced',
};

/** @type {Record<string, string>} why clients are refused */
const REFUSALS = { full: 'server full', closing: 'shutting down', access: 'key, address or origin' };

/**
 * @param {HTMLElement} list a `dl`
 * @param {Record<string, string>} facts
 * @param {string} [className] of each
 */
function drawFacts(list, facts, className = '') {
  list.replaceChildren(
    ...Object.entries(facts).map(([name, value]) => {
      const fact = makeElement('div', className, makeElement('dt', '', name), makeElement('dd', '', value));
      fact.title = HELP[name] ?? '';
      return fact;
    }),
  );
}

/** @param {number} seconds */
function durationLabel(seconds) {
  const [days, hours, minutes] = [Math.floor(seconds / 86_400), Math.floor(seconds / 3600) % 24, Math.floor(seconds / 60) % 60];
  if (days > 0) return `${days} d ${hours} h`;
  return hours > 0 ? `${hours} h ${minutes} min` : `${minutes} min`;
}

/** @param {number} bytes */
const megabytes = (bytes) => `${Math.round(bytes / 1e6).toLocaleString('en')} MB`;

/** The last hour as the server kept it. */
class HourCard {
  #span = { name: 'hour', samples: 360 };
  #speakers = new Chart({ title: 'Talking', least: 4, format: count, help: 'Sessions with a running utterance', span: this.#span });
  #busy = new Chart({ title: 'Busy', least: 1, format: percent, help: 'Share of the time in which the busiest lane works', span: this.#span });
  #cpu = new Chart({ title: 'CPU', least: 1, format: percent, help: 'Share of all cores that the server uses', span: this.#span });
  #memory = new Chart({ title: 'Memory', least: 1e8, format: megabytes, help: 'Memory that the server uses', span: this.#span });
  element = makeElement(
    'article',
    'tile lane',
    makeElement('div', 'lane-head', makeElement('h3', '', 'The last hour')),
    makeElement('div', 'charts', ...[this.#speakers, this.#busy, this.#cpu, this.#memory].map((chart) => chart.element)),
  );

  constructor() {
    this.element.dataset.testid = 'hour';
    this.element.hidden = true;
  }

  /** @param {History} history */
  draw({ speakers, busy, cpu, memoryBytes }) {
    this.element.hidden = false;
    this.#speakers.draw([speakers]);
    this.#busy.draw([busy]);
    this.#cpu.draw([cpu]);
    this.#memory.draw([memoryBytes]);
  }
}

/** Card of one lane. Its elements are kept and only updated. */
class LaneCard {
  #queue = new Chart({ title: 'Queue', least: 5, format: count, help: 'Jobs that wait for an engine' });
  #busy = new Chart({ title: 'Busy', least: 1, format: percent, help: 'Share of the time in which an engine works' });
  #latency = new Chart({
    title: 'Latency',
    least: 100,
    format: ms,
    lines: ['p50', 'p95'],
    help: 'From the submission of a job to its result: half of the last 256 jobs take at most p50, 95 of 100 at most p95',
  });
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
      Workers: `${count(worker.serving ?? 0)} of ${count(worker.workers ?? 1)}`,
      Restarts: count(worker.restarts ?? 0),
    };
    drawFacts(this.#facts, facts);
  }
}

export class OperationsView {
  /** @type {Map<string, LaneCard>} */
  #lanes = new Map();
  #status = makeElement('p', 'operations-status');
  #totals = makeElement('dl', 'totals');
  #hour = new HourCard();
  /** @type {History | null} */
  #history = null;
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
      this.#hour.element,
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

  /** @param {History} history the last hour */
  drawHistory(history) {
    this.#history = history;
    this.#hour.draw(history);
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
      'Refused clients': count(rejectedSessions),
      ...(this.#history && { 'Up for': durationLabel(this.#history.uptimeSeconds), Version: this.#history.version }),
    };
    drawFacts(this.#totals, totals, 'tile');
    const reasons = Object.entries(this.#history?.rejections ?? {}).map(([name, number]) => `${REFUSALS[name] ?? name}: ${count(number)}`);
    const refused = /** @type {HTMLElement} */ (this.#totals.children[2]);
    if (reasons.length > 0) refused.append(makeElement('dd', 'operations-note', reasons.join(', ')));
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
    report.state === 'recording' ? 'hearing speech' : report.state.replaceAll('_', ' '),
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
