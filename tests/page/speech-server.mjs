/**
 * A scripted server that hears words: each packet carries its place in a script, which tells the word that is spoken there.
 * It forms segments as the real server does, counted in packets, with segment ids and audio positions of its own session.
 */

import { PACKET_MS } from '../../web/audio/packets.js';

export const RATE_HZ = 16_000;
const PACKET_SAMPLES = (RATE_HZ * PACKET_MS) / 1000;
const PACKETS_PER_S = 1000 / PACKET_MS;

/** Lengths of the server's decisions, in packets. */
const CONFIRMED_AFTER = 2;
const EARLY_AFTER = 8;
const ENDS_AFTER = 15;
const PARTIAL_EVERY = 5;
const FINAL_TAKES = 4;
/** It hears this much per packet of time, so a backlog takes a while. */
const HEARS_AT_ONCE = 10;
/** A word counts as heard with this much of it; so a boundary within a word gives it twice. */
const ENOUGH_OF_WORD = 3;

/** Wall-clock time of the server at 0 ms, seconds. */
export const EPOCH_S = 1_900_000_000;

/** Samples whose first one is `place` in PCM. @param {number} place */
export const samplesOf = (place) => new Float32Array(PACKET_SAMPLES).fill((place + 0.5) / 0x7fff);

function placeOf(frame) {
  const view = new DataView(frame);
  return view.getInt16(4 + view.getUint32(0, true), true);
}

/**
 * Words from 1 on, of 0.2 to 0.5 s, in sentences with pauses of 0.2 to 2 s; then 14 s of silence.
 *
 * @param {() => number} random
 * @param {number} packets without the silence, at least
 * @param {number} [mostWords] of a sentence
 * @returns {number[]} the word in each packet; 0 for a pause
 */
export function speechOf(random, packets, mostWords = 8) {
  const between = (least, most) => least + Math.floor(random() * (most - least + 1));
  const script = Array(between(3, 20)).fill(0);
  for (let word = 1; script.length < packets; ) {
    for (let left = between(1, mostWords); left > 0; left -= 1, word += 1) script.push(...Array(between(5, 12)).fill(word));
    script.push(...Array(between(5, 50)).fill(0));
  }
  return [...script, ...Array(350).fill(0)];
}

/**
 * @typedef {object} SpeechServerParts
 * @property {() => number} random
 * @property {boolean} [isAdaptive] whether finals come early, and turns are resumed
 * @property {number} [longest] length at which a segment is cut, packets
 * @property {boolean} [isSlow] whether it hears nothing for up to 3 s at first, and for up to 2 s now and then
 */

export class SpeechServer {
  #socket;
  #script;
  #parts;
  #nowMs = 0;
  #stalledUntilMs = 0;
  #seq = 0;
  #framesRead = 0;
  /** Places in the script, received and not heard. */
  #queue = [];
  #isStreaming = false;
  /** Audio heard, packets; and the places that make up a start of speech which is not confirmed. */
  #heard = 0;
  #onset = [];
  #segment = null;
  #lastId = 0;
  /** Segments that wait for their final text, in order. */
  #ended = [];

  constructor(socket, script, parts) {
    [this.#socket, this.#script, this.#parts] = [socket, script, parts];
  }

  opened(nowMs) {
    this.#nowMs = nowMs;
    if (this.#parts.isSlow) this.#stalledUntilMs = nowMs + this.#parts.random() * 3000;
    this.#send({ type: 'hello', sessionId: `${nowMs}`, resumeToken: `${nowMs}.secret`, resumeGraceSeconds: 10 });
    this.#send({ type: 'ready', ok: true });
  }

  /** One packet of time has passed. */
  runs(nowMs) {
    this.#nowMs = nowMs;
    for (; this.#framesRead < this.#socket.frames.length; this.#framesRead += 1) this.#receives(this.#socket.frames[this.#framesRead]);
    if (nowMs < this.#stalledUntilMs) return;
    if (this.#parts.isSlow && this.#parts.random() < 0.01) this.#stalledUntilMs = nowMs + this.#parts.random() * 2000;
    this.#queue.splice(0, HEARS_AT_ONCE).forEach((place) => this.#hears(place));
    this.#ended.forEach((segment) => (segment.finalIn -= 1));
    while (this.#ended[0]?.finalIn < 0) this.#final(this.#ended.shift());
  }

  #receives(frame) {
    if (typeof frame !== 'string') {
      if (this.#isStreaming) this.#queue.push(placeOf(frame));
      return;
    }
    const { type } = JSON.parse(frame);
    if (type === 'resume') this.#send({ type: 'error', where: 'resume', message: 'no such session' });
    if (type === 'ping') this.#send({ type: 'pong' });
    if (type !== 'start') return;
    this.#isStreaming = true;
    this.#send({ type: 'status', state: 'listening', timestamp: this.#clockS() });
  }

  #hears(place) {
    const word = this.#script[place];
    this.#heard += 1;
    if (!this.#segment) {
      this.#onset = word ? [...this.#onset, word] : [];
      if (this.#onset.length === CONFIRMED_AFTER) this.#begins(this.#onset.splice(0));
      return;
    }
    const segment = this.#segment;
    segment.length += 1;
    if (word) this.#hearsWord(segment, word);
    else segment.silence += 1;
    if (segment.length % PARTIAL_EVERY === 0 && !segment.isEarly) this.#partial(segment);
    if (this.#parts.isAdaptive && segment.silence === EARLY_AFTER) {
      this.#ended.splice(0).forEach((each) => this.#final(each)); // final texts come in order
      segment.isEarly = true;
      this.#final(segment);
    }
    const next = this.#script[place + 1];
    const isCut = segment.length >= this.#parts.longest && word !== next && next > 0;
    if (isCut || segment.silence === ENDS_AFTER) this.#ends(segment);
    if (isCut) this.#begins([]); // from the very next sample on
  }

  #hearsWord(segment, word) {
    if (segment.isEarly) this.#send({ type: 'turn_resumed', segmentId: segment.id });
    [segment.isEarly, segment.silence, segment.end] = [false, 0, this.#heard];
    segment.words.push(word);
  }

  #begins(words) {
    this.#lastId += 1;
    const [startedAt, start, end] = [this.#clockS(), this.#heard - words.length, this.#heard];
    this.#segment = { id: this.#lastId, start, end, startedAt, words, length: 0, silence: 0, isEarly: false, finalIn: FINAL_TAKES };
    this.#timeline('recording_started', this.#segment, {});
  }

  #ends(segment) {
    this.#segment = null;
    if (segment.isEarly) return;
    this.#timeline('recording_ended', segment, { audioEndSeconds: segment.end / PACKETS_PER_S });
    this.#ended.push(segment);
  }

  #partial(segment) {
    const words = { stableText: this.#textOf(segment), audioEndSeconds: this.#heard / PACKETS_PER_S };
    this.#send({ type: 'realtime', segmentId: segment.id, sequence: segment.length, segment: this.#timesOf(segment), ...words });
  }

  #final(segment) {
    const times = { ...this.#timesOf(segment), audioEndSeconds: segment.end / PACKETS_PER_S };
    const text = this.#textOf(segment);
    if (text) this.#send({ type: 'final', segmentId: segment.id, text, segment: times });
    else this.#timeline('segment_closed', segment, { audioEndSeconds: segment.end / PACKETS_PER_S }, { reason: 'empty' });
  }

  #timeline(event, segment, times, fields = {}) {
    this.#send({ type: 'timeline', event, segmentId: segment.id, segment: { ...this.#timesOf(segment), ...times }, ...fields });
  }

  #textOf({ words }) {
    return [...new Set(words)].filter((word) => words.filter((each) => each === word).length >= ENOUGH_OF_WORD).join(' ');
  }

  #timesOf({ start, startedAt }) {
    return { recordingStartedAt: startedAt, audioStartSeconds: start / PACKETS_PER_S };
  }

  #clockS() {
    return EPOCH_S + this.#nowMs / 1000;
  }

  #send(event) {
    this.#socket.serverSends({ seq: (this.#seq += 1), ...event });
  }
}
