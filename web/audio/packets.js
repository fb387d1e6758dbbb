/**
 * Audio packets: float samples to the binary frame that the server reads, and the decision to shed.
 * It must not touch the microphone, the socket or the DOM.
 */

/** Length of one packet. Short enough for live words, long enough that a socket message costs little. */
export const PACKET_MS = 40;

/** Unsent audio at which packets are shed, and the level at which sending resumes; the gap makes one hole, not many. */
export const SHED_ABOVE_MS = 2000;
export const SHED_UNTIL_MS = 1000;

const BYTES_PER_SAMPLE = 2;
const LENGTH_FIELD_BYTES = 4;

/**
 * Float samples to 16-bit PCM: clamped to -1..1, then each half scaled to its own end of the range, as both ends of the
 * protocol do. What is not a number becomes silence.
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
 * @param {number} sentAtMs the sender's clock, milliseconds
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

/** Sheds audio while the socket holds too much of it, so that what is sent stays live and memory stays bounded. */
export class Shedder {
  #shedding = false;

  /**
   * @param {number} bufferedBytes what the socket has not sent yet
   * @param {number} sampleRateHz
   * @returns {boolean} whether the next packet is to be dropped
   */
  drops(bufferedBytes, sampleRateHz) {
    const bufferedMs = (bufferedBytes / (sampleRateHz * BYTES_PER_SAMPLE)) * 1000;
    this.#shedding = bufferedMs > (this.#shedding ? SHED_UNTIL_MS : SHED_ABOVE_MS);
    return this.#shedding;
  }
}

/** Ends of the meter, dBFS of the RMS: a quiet room below, close and loud speech above. */
const METER_FLOOR_DB = -54;
const METER_TOP_DB = -9;

/**
 * Loudness of one packet on the scale that a meter shows, linear in decibels between its ends.
 *
 * @param {Float32Array} samples range -1 to 1
 * @returns {number} 0 to 1
 */
export function meterLevel(samples) {
  let sum = 0;
  for (const value of samples) sum += value * value;
  const levelDb = 10 * Math.log10(sum / Math.max(1, samples.length)); // -Infinity in silence
  return Math.max(0, Math.min(1, (levelDb - METER_FLOOR_DB) / (METER_TOP_DB - METER_FLOOR_DB)));
}
