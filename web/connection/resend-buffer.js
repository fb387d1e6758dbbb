/**
 * What one session was sent lately, numbered as the server counts it, and what waits to be sent: after a loss, the server
 * says how much it has, and the rest goes out again, as it was. Bounded in seconds of sound and in bytes.
 * It must not know sockets, timers or the DOM.
 */

import { PACKET_MS } from '../audio/packets.js';

/** Beyond the grace of the server: what is on its way when a loss is noticed at last. */
const ON_THE_WAY_S = 15;
const MOST_BYTES = 16_000_000;

/**
 * @typedef {object} Entry
 * @property {string | ArrayBuffer} frame
 * @property {number} durationS of its sound; 0 for a command
 * @property {number} number among the packets or the commands of the session, from 1; 0 while it waits or was shed
 * @property {boolean} isShed left out because the socket was slow; a loss shows that it was dead, and brings it back
 */

/** @param {Entry} entry */
const isPacket = ({ frame }) => typeof frame !== 'string';

/** @param {Entry} entry */
const waits = ({ number, isShed }) => number === 0 && !isShed;

export class Journal {
  /** @type {Entry[]} in the order in which they were made */
  #entries = [];
  #sent = { packets: 0, commands: 0 };
  #lastForgottenPacket = 0;
  /** Sound that was forgotten before it was ever sent. */
  #forgottenS = 0;
  #keptS = 0;
  #keptBytes = 0;
  #mostS;
  #mostBytes;

  /**
   * @param {number} graceS for how long the server keeps a session
   * @param {number} [mostBytes]
   */
  constructor(graceS, mostBytes = MOST_BYTES) {
    this.#mostS = graceS > 0 ? graceS + ON_THE_WAY_S : 0;
    this.#mostBytes = mostBytes;
  }

  /**
   * @param {string | ArrayBuffer} frame
   * @param {number} [durationS] of its sound
   * @param {boolean} [isShed]
   */
  add(frame, durationS = 0, isShed = false) {
    const entry = { frame, durationS, number: 0, isShed };
    this.#entries.push(entry);
    this.#count(entry, 1);
    this.#trim();
  }

  /** @returns {string | ArrayBuffer | null} the next frame, which counts as sent from now on */
  take() {
    const entry = this.#entries.find(waits);
    if (!entry) return null;
    entry.number = isPacket(entry) ? (this.#sent.packets += 1) : (this.#sent.commands += 1);
    this.#trim();
    return entry.frame;
  }

  /** A command was sent that is not worth repeating; the server counts it all the same. */
  passing() {
    this.#sent.commands += 1;
  }

  /**
   * The session goes on over another connection: what the server lacks waits from now on.
   *
   * @param {number} packets that it has
   * @param {number} commands that it has
   * @returns {{missedS: number, recoveredS: number}} sound that is no longer here; and sound that had been shed
   */
  rebase(packets, commands) {
    const has = (/** @type {Entry} */ entry) =>
      entry.number > 0 && entry.number <= (isPacket(entry) ? packets : commands);
    const rest = this.#entries.slice(this.#entries.findLastIndex(has) + 1);
    const unknownS = (Math.max(0, this.#lastForgottenPacket - packets) * PACKET_MS) / 1000;
    const missedS = this.forgottenS() + unknownS;
    const recoveredS = rest.reduce((sum, { isShed, durationS }) => sum + (isShed ? durationS : 0), 0);
    [this.#entries, this.#keptS, this.#keptBytes, this.#lastForgottenPacket] = [[], 0, 0, 0];
    this.#sent = { packets, commands };
    rest.forEach(({ frame, durationS }) => this.add(frame, durationS));
    return { missedS, recoveredS };
  }

  /** @returns {number} seconds of sound that were forgotten before they were sent, since this was asked last */
  forgottenS() {
    const forgottenS = this.#forgottenS;
    this.#forgottenS = 0;
    return forgottenS;
  }

  /** Whether anything waits to be sent. */
  get isBehind() {
    return this.#entries.some(waits);
  }

  /** @returns {Entry[]} what was never sent and now never is, where the session does not go on */
  unsent() {
    const unsent = this.#entries.filter(waits);
    this.#entries = [];
    return unsent;
  }

  /**
   * @param {Entry} entry
   * @param {1 | -1} sign
   */
  #count({ frame, durationS }, sign) {
    this.#keptS += sign * durationS;
    this.#keptBytes += sign * (typeof frame === 'string' ? frame.length : frame.byteLength);
  }

  #trim() {
    // Without a grace nothing is ever asked for again; but what waits, waits.
    const isOver = () => this.#keptS > this.#mostS || this.#keptBytes > this.#mostBytes;
    while (isOver() || this.#mostS === 0) {
      // A command that waits stays: without its `start`, no sound would be heard.
      const oldest = this.#entries.findIndex(
        (entry) => (this.#mostS > 0 && isPacket(entry)) || entry.isShed || entry.number > 0,
      );
      if (oldest < 0) return;
      const [entry] = this.#entries.splice(oldest, 1);
      this.#count(entry, -1);
      if (waits(entry)) this.#forgottenS += entry.durationS;
      else if (isPacket(entry)) this.#lastForgottenPacket = Math.max(this.#lastForgottenPacket, entry.number);
    }
  }
}
