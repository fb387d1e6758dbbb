/**
 * Draws the server's metrics: totals, one card per lane with its charts, and tables of clients and sessions.
 * It neither fetches nor computes them.
 */

import { makeElement, setText } from '../shared/dom.js';
import { CLIENT_COLUMNS, clientRow, refusalsText } from './operations-clients.js';
import { Chart } from './operations-chart.js';
import { count, drawFacts, durationLabel, megabytes, milliseconds, percent } from './operations-facts.js';
import { OperationsTable } from './operations-table.js';

/** @import { History, Metrics, QueueReport, SessionReport, WorkerReport } from '../connection/http-api.js' */
/** @import { LaneHistory, LaneSeries } from './operations-model.js' */

const SESSION_COLUMNS = [
  { title: 'Session', help: 'The beginning of its id, as in the log.' },
  { title: 'State', help: 'What the server does for it now.' },
  { title: 'Utterance', help: 'Length of the running utterance.' },
  { title: 'Queued', help: 'Its audio and jobs that wait.' },
  { title: 'Partials', help: 'Live texts made so far.' },
  { title: 'Finals', help: 'Final texts made so far.' },
  { title: 'Final p95', help: '95 of 100 finals are there this long after the end of the utterance.' },
  { title: 'Lost packets', help: 'Audio packets that were dropped or rejected.' },
];
/** @type {Record<string, string>} */
const LANES = { main: 'Finals', realtime: 'Partials' };

/** @type {Record<string, string>} */
const MODES = {
  'low-memory-one-model': 'One model produces finals and partials.',
  'balanced-main-plus-realtime': 'Two models: one for finals, one for partials.',
};

/** The last hour as the server kept it. */
class HourCard {
  #span = { name: 'hour', samples: 360 };
  #speakers = new Chart({ title: 'Talking', least: 4, format: count, help: 'Sessions with a running utterance.', span: this.#span });
  #busy = new Chart({ title: 'Busy', least: 1, format: percent, help: 'Share of the time in which the busiest lane works.', span: this.#span });
  #cpu = new Chart({ title: 'CPU', least: 1, format: percent, help: 'Share of all cores that the server uses.', span: this.#span });
  #memory = new Chart({ title: 'Memory', least: 1e8, format: megabytes, help: 'Memory that the server uses.', span: this.#span });
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
  #queue = new Chart({ title: 'Queue', least: 5, format: count, help: 'Jobs that wait for an engine.' });
  #busy = new Chart({ title: 'Busy', least: 1, format: percent, help: 'Share of the time in which an engine works.' });
  #latency = new Chart({
    title: 'Latency',
    least: 100,
    format: milliseconds,
    lines: ['p50', 'p95'],
    help: 'From the submission of a job to its result: half of the last 256 jobs take at most p50, 95 of 100 at most p95.',
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
      'Queue delay p95': milliseconds(worker.queueDelay.p95Ms),
      'Engine p95': milliseconds(worker.inferenceDuration.p95Ms),
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
  #refusals = makeElement('p', 'operations-note');
  #hour = new HourCard();
  /** @type {History | null} */
  #history = null;
  #lanesArea = makeElement('div', 'lane-cards');
  #clientsTitle = makeElement('h3', 'sessions-title', 'Clients');
  #clients = new OperationsTable('Clients', 'dialect', CLIENT_COLUMNS);
  #noSessions = makeElement('p', 'operations-note');
  #sessions = new OperationsTable('Sessions', 'session', SESSION_COLUMNS);

  /** @param {HTMLElement} area */
  constructor(area) {
    this.#status.setAttribute('role', 'status');
    this.#clientsTitle.hidden = true;
    const explain = /** @type {HTMLButtonElement} */ (makeElement('button', 'outline', 'Explain'));
    explain.type = 'button';
    explain.dataset.testid = 'explain';
    explain.title = 'Show what each figure means';
    explain.setAttribute('aria-pressed', 'false');
    explain.addEventListener('click', () => {
      explain.setAttribute('aria-pressed', String(area.toggleAttribute('data-explained')));
    });
    area.append(
      makeElement('div', 'lane-head', makeElement('h2', '', 'Operations'), explain),
      this.#status,
      this.#totals,
      this.#refusals,
      this.#hour.element,
      this.#lanesArea,
      this.#clientsTitle,
      this.#clients.element,
      makeElement('h3', 'sessions-title', 'Sessions'),
      this.#noSessions,
      this.#sessions.element,
    );
  }

  /** @param {string} reason why there are no metrics */
  fail(reason) {
    this.#showStatus(reason, 'bad');
    this.#sessions.element.hidden = this.#sessions.isEmpty;
  }

  /** @param {History} history the last hour */
  drawHistory(history) {
    this.#history = history;
    this.#hour.draw(history);
    const rows = Object.entries(history.dialects).map(([dialect, report]) => clientRow(dialect, report));
    this.#clients.draw(rows);
    this.#clientsTitle.hidden = rows.length === 0;
    const refusals = refusalsText(history.rejections);
    setText(this.#refusals, refusals && `Refused: ${refusals}.`);
    this.#refusals.hidden = !refusals;
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
    this.#noSessions.hidden = reports.length > 0;
    this.#noSessions.textContent =
      activeSessions > 0 ? 'Sessions are listed only on the server’s own machine, or with an admin key.' : 'No client is connected.';
    this.#sessions.draw(reports.map((report) => sessionRow(report, report.sessionId === ownSession)));
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
  return {
    id: report.sessionId,
    name: [makeElement('code', '', report.sessionId.slice(0, 8)), isOwn ? ' this page' : ''],
    cells: [
      report.state === 'recording' ? 'hearing speech' : report.state.replaceAll('_', ' '),
      report.recording ? `${report.recordingSeconds.toFixed(1)} s` : '–',
      count(report.queueDepth),
      count(report.realtimeCompleted),
      count(report.finalCompleted),
      report.finalCompleted > 0 ? milliseconds(report.totalLatency.final.p95Ms) : '–',
      count(report.droppedAudioChunks + report.rejectedAudioChunks),
    ],
    isOwn,
  };
}
