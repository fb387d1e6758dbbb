/**
 * The event log: a bounded list of entries, newest first, and the kinds that are shown.
 * It does not word or draw entries, or read a clock.
 */

/** @typedef {'speech' | 'wake' | 'trouble' | 'server' | 'details'} LogKind `details` are live words and heartbeats */
/** @typedef {'info' | 'good' | 'warning' | 'error'} LogTone */
/** @typedef {{kind: LogKind, tone: LogTone, title: string, detail: string}} LogLine */
/** @typedef {LogLine & {id: number, atMs: number, count: number}} LogEntry `count`: repeats in a row */

/** @type {{kind: LogKind, label: string, isShown: boolean}[]} in their order on the page; `isShown` at first */
export const LOG_KINDS = [
  { kind: 'speech', label: 'Speech', isShown: true },
  { kind: 'wake', label: 'Wake words', isShown: true },
  { kind: 'trouble', label: 'Problems', isShown: true },
  { kind: 'server', label: 'Connection', isShown: true },
  { kind: 'details', label: 'Details', isShown: false },
];

/** Entries kept per kind, so that the many details displace no other kind. */
const MAX_PER_KIND = 100;

export class EventLog {
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
   * @param {LogLine} line a repeat of the newest line of its kind only increases that entry's `count`
   * @param {number} atMs
   */
  add(line, atMs) {
    const sameKind = this.#entries.filter(({ kind }) => kind === line.kind);
    const last = sameKind.at(-1);
    const repeated = last && last.title === line.title && last.detail === line.detail ? last : null;
    if (repeated) this.#remove(repeated);
    else if (sameKind.length >= MAX_PER_KIND) this.#remove(sameKind[0]);
    this.#entries.push({ ...line, id: repeated?.id ?? this.#nextId, atMs, count: (repeated?.count ?? 0) + 1 });
    this.#nextId += 1;
  }

  /** @param {LogEntry} entry */
  #remove({ id }) {
    this.#entries = this.#entries.filter((entry) => entry.id !== id);
  }
}
