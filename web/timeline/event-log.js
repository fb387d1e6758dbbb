/**
 * The event log: what happened, newest first, bounded, and which kinds of it are shown.
 * It must not word entries, draw them, or read a clock.
 */

/** @typedef {'speech' | 'wake' | 'trouble' | 'server' | 'details'} LogKind details are live words and heartbeats */
/** @typedef {'info' | 'good' | 'warning' | 'error'} LogTone */
/** @typedef {{kind: LogKind, tone: LogTone, title: string, detail: string}} LogLine */
/** @typedef {LogLine & {id: number, atMs: number, count: number}} LogEntry `count`: how often in a row */

/** @type {{kind: LogKind, label: string, isShown: boolean}[]} in their order on the page, and what is shown at first */
export const LOG_KINDS = [
  { kind: 'speech', label: 'Speech', isShown: true },
  { kind: 'wake', label: 'Wake words', isShown: true },
  { kind: 'trouble', label: 'Problems', isShown: true },
  { kind: 'server', label: 'Connection', isShown: true },
  { kind: 'details', label: 'Details', isShown: false },
];

/** Of each kind as many are kept: details, of which there are most, push nothing else out. */
const KEPT_OF_A_KIND = 100;

export class Log {
  /** @type {LogEntry[]} oldest first */
  #entries = [];
  #shown = new Set(LOG_KINDS.filter(({ isShown }) => isShown).map(({ kind }) => kind));
  #nextId = 1;

  /** @returns {LogEntry[]} of the kinds that are shown, newest first */
  get shown() {
    return this.#entries.filter(({ kind }) => this.#shown.has(kind)).toReversed();
  }

  /** @param {LogKind} kind */
  isShown(kind) {
    return this.#shown.has(kind);
  }

  /** @param {LogKind} kind */
  toggle(kind) {
    if (!this.#shown.delete(kind)) this.#shown.add(kind);
  }

  /**
   * @param {LogLine} line the same one again counts up instead of piling up
   * @param {number} atMs
   */
  add(line, atMs) {
    const ofKind = this.#entries.filter(({ kind }) => kind === line.kind);
    const last = ofKind.at(-1);
    const again = last && last.title === line.title && last.detail === line.detail ? last : null;
    if (again) this.#remove(again);
    else if (ofKind.length >= KEPT_OF_A_KIND) this.#remove(ofKind[0]);
    this.#entries.push({ ...line, id: again?.id ?? this.#nextId, atMs, count: (again?.count ?? 0) + 1 });
    this.#nextId += 1;
  }

  /** @param {LogEntry} entry */
  #remove({ id }) {
    this.#entries = this.#entries.filter((entry) => entry.id !== id);
  }
}
