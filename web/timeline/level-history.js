/**
 * The loudness of the captured audio in the last ten minutes. It does not draw, capture or read a clock.
 */

import { KEPT_S } from './timeline.js';

/** One level is kept per slot of this length: 6,000 numbers for ten minutes. */
export const SLOT_S = 0.1;
const SLOTS = KEPT_S / SLOT_S;

export class LevelHistory {
  #levels = new Float32Array(SLOTS);
  #newestSlot = -SLOTS;

  /**
   * @param {number} level 0 to 1
   * @param {number} nowS seconds, not negative
   */
  push(level, nowS) {
    const slot = Math.floor(nowS / SLOT_S);
    // Slots without a level are silent. After the clock was set back, all are.
    const passed = slot < this.#newestSlot ? SLOTS : Math.min(SLOTS, slot - this.#newestSlot);
    for (let back = 0; back < passed; back += 1) this.#levels[(slot + SLOTS - back) % SLOTS] = 0;
    this.#newestSlot = slot;
    this.#levels[slot % SLOTS] = Math.max(this.#levels[slot % SLOTS], level);
  }

  /**
   * @param {number} fromS
   * @param {number} toS exclusive
   * @returns {number} the highest level in that time, 0 to 1; 0 where nothing was captured
   */
  max(fromS, toS) {
    const first = Math.max(Math.round(fromS / SLOT_S), this.#newestSlot - SLOTS + 1, 0);
    const last = Math.min(this.#newestSlot, Math.round(toS / SLOT_S) - 1);
    let level = 0;
    for (let slot = first; slot <= last; slot += 1) level = Math.max(level, this.#levels[slot % SLOTS]);
    return level;
  }
}
