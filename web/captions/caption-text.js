/**
 * The newest words, for captions: the last finals and the words that are spoken now. It has the transcript's methods that a session
 * calls, and forgets what is no longer shown. It does not touch the DOM.
 */

/** @import { Closed, Final, Realtime } from '../connection/protocol.js' */

/** @typedef {{settled: string, live: string}} Caption */

/** Final text that is kept: more than eight lines. */
const KEPT_CHARACTERS = 800;

/** Name of the channel over which a Talk page shows its captions in other windows of the same browser. */
export const CHANNEL = 'trio-stt.captions';

export class CaptionText {
  #settled = '';
  /** @type {Map<number, string>} words of segments without a final, by id */
  #live = new Map();
  #onChange;

  /** @param {(caption: Caption) => void} onChange */
  constructor(onChange) {
    this.#onChange = onChange;
  }

  /** @param {Realtime} event */
  realtime({ segmentId, stableText, unstableText }) {
    this.#live.set(segmentId, (stableText + unstableText).trim());
    this.#changed();
  }

  /** @param {Final} event */
  final({ segmentId, text }) {
    this.#live.delete(segmentId);
    const whole = `${this.#settled} ${text}`.trim();
    this.#settled = whole.length > KEPT_CHARACTERS ? whole.slice(whole.indexOf(' ', whole.length - KEPT_CHARACTERS) + 1) : whole;
    this.#changed();
    return true;
  }

  /** @param {Closed} event */
  closed({ segmentId }) {
    if (this.#live.delete(segmentId)) this.#changed();
  }

  /** A new session: what it replaces has no final. */
  connected() {
    this.disconnected();
  }

  disconnected() {
    this.#live.clear();
  }

  clear() {
    this.cleared();
  }

  cleared() {
    this.#settled = '';
    this.#live.clear();
    this.#changed();
  }

  audioLost() {}

  #changed() {
    const live = [...this.#live.entries()].sort(([a], [b]) => a - b).map(([, text]) => text);
    this.#onChange({ settled: this.#settled, live: live.filter(Boolean).join(' ') });
  }
}
