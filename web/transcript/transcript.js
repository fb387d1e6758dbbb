/**
 * What was said, as a list of blocks: which exist, what each one reads, and which connection it belongs to.
 * It must not touch the DOM, the socket or a clock.
 *
 * Segment ids start again with every connection, so a block is known by its connection and its id together.
 */

/** @import { Closed, Final, Realtime, SegmentTimes, Timeline } from '../connection/protocol.js' */

/**
 * @typedef {'live' | 'final' | 'lost'} BlockPhase
 *   `live`: words may still change; `final`: they will not; `lost`: no final text will ever come.
 *
 * @typedef {'' | 'failed' | 'repetition' | 'disconnected' | 'unknown'} LossReason why it is lost, or ''
 *
 * @typedef {object} Block
 * @property {'block'} kind
 * @property {string} key unique in this page
 * @property {number} connection counts from 1 in this page
 * @property {number} segmentId the server's, unique within one connection
 * @property {BlockPhase} phase
 * @property {string} stable settled words; all of them once final
 * @property {string} unstable words that may still change, with their leading space
 * @property {boolean} isDoubtful what was heard last contradicts them
 * @property {LossReason} loss
 * @property {SegmentTimes} times as far as they are known
 *
 * @typedef {object} Break a connection was lost here
 * @property {'break'} kind
 * @property {string} key
 * @property {number} missedS speech that could not be sent meanwhile, seconds
 *
 * @typedef {Block | Break} Entry
 * @typedef {{type: 'put', entry: Entry, beforeKey: string | null} | {type: 'remove', key: string} | {type: 'reset'}} Change
 *   `put` replaces the entry with its key, or adds a new one: before the entry that `beforeKey` names, else at the end.
 */

export class Transcript {
  /** @type {Map<string, Entry>} in order of speech */
  #entries = new Map();
  /** @type {Map<string, number>} highest `sequence` shown of each live block */
  #sequences = new Map();
  #connection = 0;
  #breaks = 0;
  #clearsUnanswered = 0;
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

  /** @returns {string} one line for each block, for the clipboard */
  get text() {
    return this.entries
      .map((entry) => (entry.kind === 'block' ? (entry.stable + entry.unstable).trim() : ''))
      .filter(Boolean)
      .join('\n');
  }

  /** @param {number} missedS speech that was not sent since the connection before this one ended */
  connected(missedS) {
    this.#connection += 1;
    this.#clearsUnanswered = 0;
    if (!this.isEmpty) this.missed(missedS);
  }

  /** @param {number} missedS speech that was not sent because the connection was lost */
  missed(missedS) {
    const last = this.entries.at(-1);
    const merged = last?.kind === 'break' ? last : null;
    this.#breaks += merged ? 0 : 1;
    this.#put({ kind: 'break', key: merged?.key ?? `break-${this.#breaks}`, missedS: missedS + (merged?.missedS ?? 0) });
  }

  /** What is not final now never will be: the next connection knows nothing of it. */
  disconnected() {
    this.#loseLiveBlocks('disconnected', () => true);
  }

  /** @param {Realtime} event */
  realtime(event) {
    if (this.#clearsUnanswered) return;
    const { key, block } = this.#find(event.segmentId);
    const isOver = block && block.phase !== 'live' && block.loss !== 'disconnected'; // the connection may come back
    const isLate = isOver || event.sequence < (this.#sequences.get(key) ?? 0);
    if (isLate || !(event.stableText + event.unstableText).trim()) return;
    this.#sequences.set(key, event.sequence);
    this.#put(this.#made(event, block, { phase: 'live', stable: event.stableText, unstable: event.unstableText, isDoubtful: event.isDoubtful }));
  }

  /**
   * @param {Final} event
   * @returns {boolean} whether it is shown
   */
  final(event) {
    if (this.#clearsUnanswered) return false;
    const { key, block } = this.#find(event.segmentId);
    this.#sequences.delete(key);
    // Finals come in the order of speech: what is still open before this one was given up by the server.
    this.#loseLiveBlocks('unknown', (open) => open.segmentId < event.segmentId);
    this.#put(this.#made(event, block, { phase: 'final', stable: event.text, unstable: '', isDoubtful: false }));
    return true;
  }

  /** @param {Closed} event */
  closed({ segmentId, reason }) {
    const { key, block } = this.#find(segmentId);
    this.#sequences.delete(key);
    if (block?.phase !== 'live') return;
    if (reason === 'empty' || reason === 'no_speech') this.#remove(key);
    else {
      const loss = reason === 'failed' || reason === 'repetition' ? reason : 'unknown';
      this.#loseLiveBlocks(loss, (open) => open.segmentId === segmentId);
    }
  }

  /** @param {Timeline} event the times of a segment, which its next words would bring too */
  timed({ segmentId, segment }) {
    if (this.#clearsUnanswered || segmentId === null) return;
    const { block } = this.#find(segmentId);
    if (block?.phase === 'live') this.#put({ ...block, times: { ...block.times, ...segment } });
  }

  /** @param {boolean} serverWillConfirm until it does, what arrives was said before and is not shown */
  clear(serverWillConfirm) {
    this.#clearsUnanswered += serverWillConfirm ? 1 : 0;
    this.#reset();
  }

  /** The server confirmed a `clear`. */
  cleared() {
    this.#clearsUnanswered = Math.max(0, this.#clearsUnanswered - 1);
    this.#reset();
  }

  /**
   * @param {Realtime | Final} event
   * @param {Block | null} before the segment's block so far
   * @param {Pick<Block, 'phase' | 'stable' | 'unstable' | 'isDoubtful'>} words
   * @returns {Block}
   */
  #made({ segmentId, segment }, before, words) {
    const times = { ...before?.times, ...segment };
    return { kind: 'block', key: this.#keyOf(segmentId), connection: this.#connection, segmentId, ...words, loss: '', times };
  }

  /**
   * @param {LossReason} loss
   * @param {(block: Block) => boolean} isAffected
   */
  #loseLiveBlocks(loss, isAffected) {
    for (const entry of this.entries) {
      const isOurs = entry.kind === 'block' && entry.phase === 'live' && entry.key === this.#keyOf(entry.segmentId);
      if (isOurs && isAffected(entry)) this.#put({ ...entry, phase: 'lost', loss });
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

  /** @param {Entry} entry */
  #put(entry) {
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
   * A slow final without any partial may come after the first partial of the segment that follows it.
   *
   * @param {Entry} entry a new one
   * @returns {string | null} the block of this connection that it must stand before
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
    this.#onChange({ type: 'reset' });
  }
}
