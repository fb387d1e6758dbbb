/**
 * How fast a recording is sent: as fast as it was spoken. It must not know timers, files or the socket.
 */

/** What a throttled timer may catch up at once; more would flood the server after a laptop's sleep. */
const MOST_BEHIND_S = 2;

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
   * @param {boolean} isReady false lets the recording wait, and nothing of it is lost
   * @returns {[number, number][]} ranges of samples that are due, each a packet or the shorter rest
   */
  take(nowMs, isReady) {
    const dueSample =
      this.#anchorMs === null ? 0 : this.#anchorSample + Math.floor(((nowMs - this.#anchorMs) * this.#rateHz) / 1000);
    const isLate = dueSample - this.#position > MOST_BEHIND_S * this.#rateHz;
    const until = Math.min(dueSample, this.#lengthSamples, this.#position + MOST_BEHIND_S * this.#rateHz);
    /** @type {[number, number][]} */
    const ranges = [];
    while (isReady && !this.isDone) {
      const end = Math.min(this.#position + this.#packetSamples, this.#lengthSamples);
      if (end > until) break;
      ranges.push([this.#position, end]);
      this.#position = end;
    }
    if (this.#anchorMs === null || !isReady || isLate) {
      this.#anchorMs = nowMs;
      this.#anchorSample = this.#position;
    }
    return ranges;
  }
}
