/**
 * Runs on the audio thread: gathers the microphone's 128-sample quanta into packets and hands each one over without a copy.
 * It must not convert, measure or decide anything: this thread has three milliseconds a time.
 *
 * Messages out: `{samples: Float32Array, last: boolean}`. Message in: `'flush'`, answered with what is left and `last`.
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
    this.flushed = false;
    this.port.onmessage = () => this.flush();
  }

  /**
   * @param {Float32Array[][]} inputs
   * @returns {boolean} whether the node stays alive
   */
  process(inputs) {
    const channel = inputs[0][0];
    if (channel && !this.flushed) this.gather(channel);
    return !this.flushed;
  }

  /** @param {Float32Array} quantum */
  gather(quantum) {
    let taken = 0;
    while (taken < quantum.length) {
      const part = quantum.subarray(taken, taken + this.packetSamples - this.filled);
      this.pending.set(part, this.filled);
      this.filled += part.length;
      taken += part.length;
      if (this.filled === this.packetSamples) this.handOver(this.pending, false);
    }
  }

  flush() {
    if (this.flushed) return;
    this.flushed = true;
    this.handOver(this.pending.slice(0, this.filled), true);
  }

  /**
   * @param {Float32Array<ArrayBuffer>} samples
   * @param {boolean} last
   */
  handOver(samples, last) {
    this.port.postMessage({ samples, last }, [samples.buffer]);
    this.pending = new Float32Array(last ? 0 : this.packetSamples);
    this.filled = 0;
  }
}

scope.registerProcessor('packetiser', Packetiser);
