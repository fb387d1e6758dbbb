/**
 * The transcript: an ordered list of blocks, one per segment, and of breaks where a session was lost or the page was opened again.
 * It does not touch the DOM, the connection or a clock.
 *
 * Segment ids start again with every session, so a block is identified by its connection number and its id together.
 */

import { spokenBlock, textOf } from './entries.js';

/** @import { Closed, Final, Realtime, Timeline, TurnResumed } from '../connection/protocol.js' */
/** @import { SpokenText } from '../files/upload.js' */
/** @import { Block, Change, Entry, LossReason } from './entries.js' */

export class Transcript {
  /** @type {Map<string, Entry>} in order of speech */
  #entries = new Map();
  /** @type {Map<string, number>} highest `sequence` shown, by key of a live block */
  #sequences = new Map();
  #connection = 0;
  /** The highest number given to a session or a file. */
  #connections = 0;
  #breaks = 0;
  /** `clear` commands that the server has not confirmed yet; until then, events may be older than the clear. */
  #pendingClears = 0;
  /** @type {Set<string>} keys of blocks whose audio the new session gets again; its first words replace them */
  #replaced = new Set();
  #onChange;

  /** @param {(change: Change) => void} [onChange] */
  constructor(onChange = () => {}) {
    this.#onChange = onChange;
  }

  /** @returns {Entry[]} oldest first */
  get entries() {
    return [...this.#entries.values()];
  }

  get isEmpty() {
    return this.#entries.size === 0;
  }

  /** @returns {string} one line per block, for the clipboard */
  get text() {
    return textOf(this.entries);
  }

  /**
   * A new session begins.
   *
   * @param {number} lostS audio that was not sent since the previous one, seconds
   * @param {number} [replacesFrom] first segment of the previous session whose audio this one gets again
   */
  connected(lostS, replacesFrom = Infinity) {
    for (const entry of this.entries) {
      const isOfLastSession = entry.kind === 'block' && entry.connection === this.#connection;
      if (isOfLastSession && entry.phase === 'lost' && entry.segmentId >= replacesFrom) this.#replaced.add(entry.key);
    }
    this.#connection = this.#connections += 1;
    this.#pendingClears = 0;
    if (!this.isEmpty) this.audioLost(lostS);
  }

  /**
   * Put entries of before in front of those there are, such as those of the page before a reload.
   *
   * @param {Entry[]} entries oldest first
   */
  restore(entries) {
    const ended = entries.map((entry) =>
      entry.kind === 'block' && entry.phase === 'live' ? /** @type {Block} */ ({ ...entry, phase: 'lost', loss: 'closed' }) : entry,
    );
    for (const entry of ended) {
      if (entry.kind === 'block') this.#connections = Math.max(this.#connections, entry.connection);
      else this.#breaks = Math.max(this.#breaks, Number(entry.key.split('-')[1]));
    }
    const all = [...ended, ...this.entries];
    this.#entries.clear();
    this.#onChange({ type: 'reset' });
    all.forEach((entry) => this.#append(entry));
  }

  /** `restoreLate` may come: number the entries of this page apart from those. @param {number} openedAtMs since the epoch */
  numberApart(openedAtMs) {
    this.#connections = this.#breaks = Math.floor(openedAtMs / 1000); // far more than an earlier page has counted to
  }

  /** The same as `restore` and `reopened`, after this page has words already. @param {Entry[]} entries @param {number} openedAtMs */
  restoreLate(entries, openedAtMs) {
    const shown = this.entries;
    this.#entries.clear();
    this.restore(entries);
    this.reopened(openedAtMs);
    shown.forEach((entry) => this.#append(entry));
  }

  /** The page was opened again: a break dates what comes. @param {number} openedAtMs milliseconds since the epoch */
  reopened(openedAtMs) {
    const last = this.entries.at(-1);
    if (!last) return;
    this.#breaks += 1;
    const known = last.kind === 'break' ? last : { key: `break-${this.#breaks}`, lostS: 0 };
    this.#put({ ...known, kind: 'break', openedAtMs });
  }

  /** Add a break, or extend the one at the end. @param {number} lostS audio that was not sent, seconds */
  audioLost(lostS) {
    const last = this.entries.at(-1);
    const merged = last?.kind === 'break' && !last.file ? last : null;
    this.#breaks += merged ? 0 : 1;
    this.#put({ ...merged, kind: 'break', key: merged?.key ?? `break-${this.#breaks}`, lostS: lostS + (merged?.lostS ?? 0) });
  }

  /**
   * The text of a file begins. It stays in one piece, also if live speech comes meanwhile.
   *
   * @param {string} name
   * @returns {number} for `fileText`
   */
  fileStarted(name) {
    this.#connections += 1;
    this.#breaks += 1;
    this.#put({ kind: 'break', key: `break-${this.#breaks}`, lostS: 0, file: name, connection: this.#connections });
    return this.#connections;
  }

  /**
   * @param {number} connection of the file
   * @param {SpokenText} spoken one utterance
   */
  fileText(connection, spoken) {
    const segmentId = this.entries.filter((each) => each.kind === 'block' && each.connection === connection).length + 1;
    this.#put(spokenBlock(connection, segmentId, spoken));
  }

  /** Remove the incomplete text of a file, which will be sent again. @param {number} connection of the file */
  removeFile(connection) {
    for (const entry of this.entries) if (entry.connection === connection) this.#remove(entry.key);
  }

  /** The session is lost: live blocks will have no final. */
  disconnected() {
    this.#loseLiveBlocks('disconnected', () => true);
  }

  /** @param {Realtime} event */
  realtime(event) {
    if (this.#pendingClears) return;
    const { key, block } = this.#find(event.segmentId);
    // A block lost with its connection may go on: the session may still be resumed.
    const isOver = block && block.phase !== 'live' && block.loss !== 'disconnected';
    const isLate = isOver || event.sequence < (this.#sequences.get(key) ?? 0);
    if (isLate || !(event.stableText + event.unstableText).trim()) return;
    this.#sequences.set(key, event.sequence);
    this.#put(this.#makeBlock(event, block, { phase: 'live', stable: event.stableText, unstable: event.unstableText, isUncertain: event.isUncertain }));
  }

  /**
   * @param {Final} event
   * @returns {boolean} whether it is shown
   */
  final(event) {
    if (this.#pendingClears) return false;
    const { key, block } = this.#find(event.segmentId);
    this.#sequences.delete(key);
    // Finals come in order of speech, so the server has dropped the segments before this one that are still live.
    this.#loseLiveBlocks('unknown', (live) => live.segmentId < event.segmentId);
    this.#put(this.#makeBlock(event, block, {
      phase: 'final', stable: event.text, unstable: '', isUncertain: false, ...(event.pieces && { pieces: event.pieces }),
    }));
    return true;
  }

  /** @param {TurnResumed} event the final was early: its words stay until the next partial or final replaces them */
  turnResumed({ segmentId }) {
    const { block } = this.#find(segmentId);
    if (block?.phase === 'final') this.#put({ ...block, phase: 'live' });
  }

  /** @param {Closed} event */
  closed({ segmentId, reason }) {
    const { key, block } = this.#find(segmentId);
    this.#sequences.delete(key);
    if (block?.phase !== 'live') return;
    if (reason === 'empty' || reason === 'no_speech') this.#remove(key);
    else {
      const loss = reason === 'failed' || reason === 'repetition' ? reason : 'unknown';
      this.#loseLiveBlocks(loss, (live) => live.segmentId === segmentId);
    }
  }

  /** @param {Timeline} event times of a segment, earlier than its next words would bring them */
  timesReceived({ segmentId, segment }) {
    if (this.#pendingClears || segmentId === null) return;
    const { block } = this.#find(segmentId);
    if (block?.phase === 'live') this.#put({ ...block, times: { ...block.times, ...segment } });
  }

  /** @param {boolean} serverWillConfirm until it does, events belong to what was cleared and are ignored */
  clear(serverWillConfirm) {
    this.#pendingClears += serverWillConfirm ? 1 : 0;
    this.#connection = this.#connections += 1; // so that later blocks and restored ones have different keys
    this.#reset();
  }

  /** The server confirmed a `clear`, or cleared by itself. */
  cleared() {
    if (this.#pendingClears > 0) this.#pendingClears -= 1;
    else this.#reset();
  }

  /**
   * @param {Realtime | Final} event
   * @param {Block | null} before the segment's previous block
   * @param {Pick<Block, 'phase' | 'stable' | 'unstable' | 'isUncertain' | 'pieces'>} words
   * @returns {Block}
   */
  #makeBlock({ segmentId, segment }, before, words) {
    const times = { ...before?.times, ...segment };
    return { kind: 'block', key: this.#keyOf(segmentId), connection: this.#connection, segmentId, ...words, loss: '', times };
  }

  /**
   * @param {LossReason} loss
   * @param {(block: Block) => boolean} isAffected
   */
  #loseLiveBlocks(loss, isAffected) {
    for (const entry of this.entries) {
      const isOfThisSession = entry.kind === 'block' && entry.phase === 'live' && entry.key === this.#keyOf(entry.segmentId);
      if (isOfThisSession && isAffected(entry)) this.#put({ ...entry, phase: 'lost', loss });
    }
  }

  /** @param {number} segmentId */
  #keyOf(segmentId) {
    return `${this.#connection}-${segmentId}`;
  }

  /** @param {number} segmentId */
  #find(segmentId) {
    const key = this.#keyOf(segmentId);
    const entry = this.#entries.get(key);
    return { key, block: entry?.kind === 'block' ? entry : null };
  }

  /** @param {Entry} entry a new one, behind all others */
  #append(entry) {
    this.#entries.set(entry.key, entry);
    this.#onChange({ type: 'put', entry, beforeKey: null });
  }

  /** @param {Entry} entry */
  #put(entry) {
    if (entry.kind === 'block' && entry.connection === this.#connection) {
      this.#replaced.forEach((key) => this.#remove(key));
      this.#replaced.clear();
    }
    const beforeKey = this.#entries.has(entry.key) ? null : this.#laterBlock(entry);
    if (beforeKey === null) {
      this.#entries.set(entry.key, entry);
    } else {
      const entries = this.entries;
      entries.splice(entries.findIndex(({ key }) => key === beforeKey), 0, entry);
      this.#entries = new Map(entries.map((each) => [each.key, each]));
    }
    this.#onChange({ type: 'put', entry, beforeKey });
  }

  /**
   * A new block may belong before an existing one: a slow final without partials can come after the next segment's first partial.
   *
   * @param {Entry} entry a new one
   * @returns {string | null} key of the first later block of the same session
   */
  #laterBlock(entry) {
    if (entry.kind === 'break') return null;
    const later = this.entries.find(
      (each) => each.kind === 'block' && each.segmentId > entry.segmentId && each.key === this.#keyOf(each.segmentId),
    );
    return later?.key ?? null;
  }

  /** @param {string} key */
  #remove(key) {
    if (this.#entries.delete(key)) this.#onChange({ type: 'remove', key });
  }

  #reset() {
    this.#entries.clear();
    this.#sequences.clear();
    this.#replaced.clear();
    this.#onChange({ type: 'reset' });
  }
}
