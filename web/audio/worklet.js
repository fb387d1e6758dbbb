/**
 * Runs on the audio thread: collects quanta of 128 samples into packets and transfers each to the page without a copy.
 * It does nothing else, because a quantum leaves the audio thread only 8 ms at 16 kHz, 3 ms at 48 kHz.
 *
 * Messages out: `{samples: Float32Array, last: boolean}`. Message in: `'flush'`, answered with the remaining samples and `last`.
 */

/**
 * The audio thread's globals, which TypeScript's browser library does not list.
 *
 * @typedef {{port: MessagePort}} Processor
 * @type {{AudioWorkletProcessor: new () => Processor,
 *         registerProcessor: (name: string, processor: unknown) => void}}
 */
const scope = /** @type {any} */ (globalThis);

class Packetiser extends scope.AudioWorkletProcessor {
  /** @param {{processorOptions: {packetSamples: number}}} options */
  constructor(options) {
    super();
    this.packetSamples = options.processorOptions.packetSamples;
    this.pending = new Float32Array(this.packetSamples);
    this.filled = 0;
    this.isFlushed = false;
    this.port.onmessage = () => this.flush();
  }

  /**
   * @param {Float32Array[][]} inputs
   * @returns {boolean} whether the node stays alive
   */
  process(inputs) {
    const channel = inputs[0][0];
    if (channel && !this.isFlushed) this.collect(channel);
    return !this.isFlushed;
  }

  /** @param {Float32Array} quantum */
  collect(quantum) {
    let taken = 0;
    while (taken < quantum.length) {
      const part = quantum.subarray(taken, taken + this.packetSamples - this.filled);
      this.pending.set(part, this.filled);
      this.filled += part.length;
      taken += part.length;
      if (this.filled === this.packetSamples) this.transfer(this.pending, false);
    }
  }

  flush() {
    if (this.isFlushed) return;
    this.isFlushed = true;
    this.transfer(this.pending.slice(0, this.filled), true);
  }

  /**
   * @param {Float32Array<ArrayBuffer>} samples
   * @param {boolean} last
   */
  transfer(samples, last) {
    this.port.postMessage({ samples, last }, [samples.buffer]);
    this.pending = new Float32Array(last ? 0 : this.packetSamples);
    this.filled = 0;
  }
}

scope.registerProcessor('packetiser', Packetiser);
