/**
 * Audio packets: encodes float samples as the binary frame of the protocol, and decides when to shed packets.
 * It does not touch the microphone, the socket or the DOM.
 */

/** Length of one packet: short enough for live words, long enough that the cost of a WebSocket message does not matter. */
export const PACKET_MS = 40;

/** Shedding begins above this much unsent audio, and ends at the lower level. The distance makes one gap instead of many. */
export const SHED_ABOVE_MS = 2000;
export const SHED_UNTIL_MS = 1000;

const BYTES_PER_SAMPLE = 2;
const LENGTH_FIELD_BYTES = 4;

/**
 * Float samples to 16-bit PCM. Samples are clamped to -1..1, then negative ones scaled by 32768 and positive ones by 32767, as
 * the server does. NaN becomes silence.
 *
 * @param {Float32Array} samples range -1 to 1
 * @returns {Int16Array} same length
 */
export function toPcm16(samples) {
  const pcm = new Int16Array(samples.length);
  for (let i = 0; i < samples.length; i += 1) {
    const clamped = Math.max(-1, Math.min(1, samples[i]));
    pcm[i] = clamped < 0 ? clamped * 0x8000 : clamped * 0x7fff;
  }
  return pcm;
}

/**
 * One binary frame: length of the metadata (4 bytes, little-endian), metadata (JSON), mono PCM (16-bit, little-endian).
 *
 * @param {Float32Array} samples mono, range -1 to 1
 * @param {number} sampleRateHz
 * @param {number} sentAtMs on the sender's clock
 * @returns {ArrayBuffer}
 */
export function encodePacket(samples, sampleRateHz, sentAtMs) {
  const metadata = new TextEncoder().encode(
    JSON.stringify({
      sampleRate: Math.round(sampleRateHz),
      channels: 1,
      format: 'pcm_s16le',
      frames: samples.length,
      sentAt: sentAtMs,
    }),
  );
  const pcm = toPcm16(samples);
  const audioAt = LENGTH_FIELD_BYTES + metadata.length;
  const frame = new ArrayBuffer(audioAt + pcm.length * BYTES_PER_SAMPLE);
  const view = new DataView(frame);
  view.setUint32(0, metadata.length, true);
  new Uint8Array(frame).set(metadata, LENGTH_FIELD_BYTES);
  pcm.forEach((value, i) => view.setInt16(audioAt + i * BYTES_PER_SAMPLE, value, true));
  return frame;
}

/** Sheds packets while the socket holds too much unsent audio: the sent audio stays live, and memory stays bounded. */
export class LoadShedder {
  #isShedding = false;

  /**
   * @param {number} bufferedBytes unsent bytes in the socket
   * @param {number} sampleRateHz
   * @returns {boolean} whether to shed the next packet
   */
  shouldShed(bufferedBytes, sampleRateHz) {
    const bufferedMs = (bufferedBytes / (sampleRateHz * BYTES_PER_SAMPLE)) * 1000;
    this.#isShedding = bufferedMs > (this.#isShedding ? SHED_UNTIL_MS : SHED_ABOVE_MS);
    return this.#isShedding;
  }
}
