/**
 * The frames of one session: those that wait to be sent, and those sent recently, numbered as the server counts them. After a
 * loss, the server says how many it has, and the rest is sent again unchanged. Bounded in seconds of audio and in bytes.
 * It knows no sockets, timers or DOM.
 */

import { PACKET_MS } from '../audio/packets.js';

/** Kept beyond the server's grace period: audio in flight when a loss is noticed, which takes the heartbeat 10 to 15 s. */
const IN_FLIGHT_S = 15;

/** Over 5 minutes of 16-bit audio at 16 kHz, or 2.5 at 48 kHz. */
const MAX_BYTES = 16_000_000;

/** Packets whose time of capture is remembered: 200 s, longer than any segment waits for its final text. */
const MAX_CAPTURED = 5000;

/**
 * @typedef {object} Entry
 * @property {string | ArrayBuffer} frame
 * @property {number} durationS of its audio; 0 for a command
 * @property {number} number among the session's packets or commands, from 1; 0 while unsent or shed
 * @property {boolean} isShed skipped because the socket was slow; a loss shows that it was dead and brings the packet back
 * @property {number} addedAtMs when it was captured
 * @property {boolean} isAgain sent before, and to be sent again
 * @property {number} sentAtMs when it was sent, or was not sent because it was shed
 * @property {number} endS position of its end in the audio of the session; 0 while unsent or shed
 */

/** @param {Entry} entry */
const isPacket = ({ frame }) => typeof frame !== 'string';

/** @param {Entry} entry @returns {number} bytes, or characters of a command */
const sizeOf = ({ frame }) => (typeof frame === 'string' ? frame.length : frame.byteLength);

/** @param {Entry} entry */
const isUnsent = ({ number, isShed }) => number === 0 && !isShed;

export class ResendBuffer {
  /** @type {Entry[]} in the order in which they were added */
  #entries = [];
  #sent = { packets: 0, commands: 0 };
  #lastEvictedPacket = 0;
  /** Audio evicted before it was ever sent. */
  #lostS = 0;
  #bufferedBytes = 0;
  /** Audio sent in this session, seconds; and as much of it as was evicted since. */
  #sentS = 0;
  #evictedEndS = 0;
  #heldFromS = Infinity;
  /** @type {{startS: number, addedAtMs: number}[]} packets sent, oldest first */
  #captured = [];
  #maxS;
  #maxBytes;
  #now;

  /**
   * @param {number} graceS how long the server keeps a session after a loss; 0 if it does not
   * @param {number} [maxBytes]
   * @param {() => number} [now] milliseconds, monotonic
   */
  constructor(graceS, maxBytes = MAX_BYTES, now = () => performance.now()) {
    this.#maxS = graceS > 0 ? graceS + IN_FLIGHT_S : 0;
    this.#maxBytes = maxBytes;
    this.#now = now;
  }

  /**
   * @param {string | ArrayBuffer} frame
   * @param {number} [durationS] of its audio
   * @param {boolean} [isShed]
   * @param {number} [addedAtMs] when it was captured; by default now
   */
  add(frame, durationS = 0, isShed = false, addedAtMs = this.#now()) {
    this.#add({ frame, durationS, number: 0, isShed, addedAtMs, isAgain: false, sentAtMs: addedAtMs, endS: 0 });
  }

  /** Add frames that an earlier connection or session has had. @param {Entry[]} entries */
  addAgain(entries) {
    for (const entry of entries) this.#add({ ...entry, number: 0, isShed: false, isAgain: entry.number > 0 || entry.isAgain });
  }

  /** @param {Entry} entry */
  #add(entry) {
    this.#entries.push(entry);
    this.#bufferedBytes += sizeOf(entry);
    this.#evict();
  }

  /** @returns {string | ArrayBuffer | null} the next unsent frame, which counts as sent from here on */
  takeNext() {
    const entry = this.#entries.find(isUnsent);
    if (!entry) return null;
    entry.number = isPacket(entry) ? (this.#sent.packets += 1) : (this.#sent.commands += 1);
    entry.sentAtMs = this.#now();
    if (isPacket(entry)) this.#sending(entry);
    this.#evict();
    return entry.frame;
  }

  /**
   * Keep what was sent from a position on, however long it is; a later call replaces the position. Like audio that is to be
   * sent again, it has a limit in bytes only.
   *
   * @param {number} positionS seconds from the session's first sample; Infinity for nothing
   */
  holdFrom(positionS) {
    this.#heldFromS = positionS;
  }

  /** Count a command that was sent past the buffer, such as a ping: the server counts it too. */
  countUnbufferedCommand() {
    this.#sent.commands += 1;
  }

  /**
   * The session continues over another connection: everything after what the server has is unsent again.
   *
   * @param {number} packets that the server has
   * @param {number} commands that the server has
   * @returns {{lostS: number, recoveredS: number}} audio that was evicted already; and audio that had been shed
   */
  resendAfter(packets, commands) {
    const isReceived = (/** @type {Entry} */ entry) =>
      entry.number > 0 && entry.number <= (isPacket(entry) ? packets : commands);
    const restAt = this.#entries.findLastIndex(isReceived) + 1;
    const [had, rest] = [this.#entries.slice(0, restAt), this.#entries.slice(restAt)];
    this.#sentS = this.#entries.findLast((entry) => isReceived(entry) && isPacket(entry))?.endS ?? this.#evictedEndS;
    this.#captured = this.#captured.filter(({ startS }) => startS < this.#sentS);
    const evictedS = (Math.max(0, this.#lastEvictedPacket - packets) * PACKET_MS) / 1000;
    const lostS = this.takeLostS() + evictedS;
    const recoveredS = rest.reduce((sum, { isShed, durationS }) => sum + (isShed ? durationS : 0), 0);
    // A new session may need what the server has, because it has no final text yet.
    this.#entries = had.filter(({ number }) => number > 0);
    [this.#bufferedBytes, this.#lastEvictedPacket] = [this.#entries.reduce((sum, entry) => sum + sizeOf(entry), 0), 0];
    this.#sent = { packets, commands };
    this.addAgain(rest);
    return { lostS, recoveredS };
  }

  /** @returns {number} seconds of audio evicted before they were sent, since the last call */
  takeLostS() {
    const lostS = this.#lostS;
    this.#lostS = 0;
    return lostS;
  }

  get hasUnsent() {
    return this.#entries.some(isUnsent);
  }

  /** Position of the oldest audio in the buffer, seconds from the session's first sample; Infinity without audio. */
  get startS() {
    const oldest = this.#entries.find((entry) => isPacket(entry) && !entry.isShed);
    if (!oldest) return Infinity;
    return oldest.number > 0 ? oldest.endS - oldest.durationS : this.#sentS;
  }

  /**
   * The frames for a new session, because this one does not continue; empties the buffer.
   *
   * @param {number} fromS position from which audio is sent again with the commands around it; Infinity for unsent frames only
   * @returns {Entry[]} without shed packets
   */
  takeFrom(fromS) {
    const first = this.#entries.findIndex((entry) => isPacket(entry) && entry.number > 0 && entry.endS > fromS);
    const taken = this.#entries.filter((entry, i) => !entry.isShed && (isUnsent(entry) || (first >= 0 && i >= first)));
    this.#entries = [];
    return taken;
  }

  /**
   * @param {number} positionS seconds from the session's first sample
   * @returns {number | null} when the audio there was captured, milliseconds; null where that is unknown
   */
  capturedAtMs(positionS) {
    return this.#captured.findLast(({ startS }) => startS <= positionS)?.addedAtMs ?? null;
  }

  /** @param {Entry} packet that is sent now */
  #sending(packet) {
    this.#captured.push({ startS: this.#sentS, addedAtMs: packet.addedAtMs });
    this.#sentS += packet.durationS;
    packet.endS = this.#sentS;
    if (this.#captured.length > MAX_CAPTURED) this.#captured.shift();
  }

  #evict() {
    const sentBeforeMs = this.#now() - this.#maxS * 1000;
    for (;;) {
      const isTooLarge = this.#bufferedBytes > this.#maxBytes;
      const waiting = this.#entries.filter((entry) => isUnsent(entry) && !entry.isAgain);
      const isTooLong = waiting.reduce((sum, { durationS }) => sum + durationS, 0) > this.#maxS;
      const oldest = this.#entries.findIndex((entry) => {
        // Without a grace period the server never asks for a frame again, so sent ones go at once; unsent ones stay.
        // An unsent command is never evicted: without its `start`, the server would ignore all audio.
        if (isUnsent(entry)) return this.#maxS > 0 && isPacket(entry) && (isTooLarge || (isTooLong && !entry.isAgain));
        return isTooLarge || (entry.sentAtMs <= sentBeforeMs && entry.endS <= this.#heldFromS);
      });
      if (oldest < 0) return;
      const [entry] = this.#entries.splice(oldest, 1);
      this.#bufferedBytes -= sizeOf(entry);
      if (isUnsent(entry)) this.#lostS += entry.durationS;
      else if (isPacket(entry)) {
        this.#lastEvictedPacket = Math.max(this.#lastEvictedPacket, entry.number);
        this.#evictedEndS = Math.max(this.#evictedEndS, entry.endS);
      }
    }
  }
}
