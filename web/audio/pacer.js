/**
 * Paces a recording in real time: says which packets are due. It knows no timers, files or sockets.
 */

/** Most audio that is due at once after a delayed timer. More would flood the server after a laptop's sleep. */
const MAX_CATCH_UP_S = 2;

export class Pacer {
  #position = 0;
  #anchorSample = 0;
  /** @type {number | null} */
  #anchorMs = null;
  #lengthSamples;
  #rateHz;
  #packetSamples;

  /**
   * @param {number} lengthSamples
   * @param {number} rateHz
   * @param {number} packetMs
   */
  constructor(lengthSamples, rateHz, packetMs) {
    this.#lengthSamples = lengthSamples;
    this.#rateHz = rateHz;
    this.#packetSamples = Math.round((rateHz * packetMs) / 1000);
  }

  get isDone() {
    return this.#position >= this.#lengthSamples;
  }

  get playedS() {
    return this.#position / this.#rateHz;
  }

  /**
   * @param {number} nowMs
   * @param {boolean} isReady false pauses the recording; nothing of it is skipped
   * @returns {[number, number][]} sample ranges that are due, each a packet or the shorter rest
   */
  takeDue(nowMs, isReady) {
    const dueSample =
      this.#anchorMs === null ? 0 : this.#anchorSample + Math.floor(((nowMs - this.#anchorMs) * this.#rateHz) / 1000);
    const isLate = dueSample - this.#position > MAX_CATCH_UP_S * this.#rateHz;
    const until = Math.min(dueSample, this.#lengthSamples, this.#position + MAX_CATCH_UP_S * this.#rateHz);
    /** @type {[number, number][]} */
    const ranges = [];
    while (isReady && !this.isDone) {
      const end = Math.min(this.#position + this.#packetSamples, this.#lengthSamples);
      if (end > until) break;
      ranges.push([this.#position, end]);
      this.#position = end;
    }
    // After a pause or a long delay, real time is counted anew from here.
    if (this.#anchorMs === null || !isReady || isLate) {
      this.#anchorMs = nowMs;
      this.#anchorSample = this.#position;
    }
    return ranges;
  }
}
