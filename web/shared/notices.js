/**
 * The sentences on show right now: each under a key, repeats counted, the number bounded.
 * It must not word them or draw them.
 */

/** @import { Message } from './messages.js' */

/** More at once would hide the transcript; the oldest goes. */
const MOST = 4;

/** @typedef {Message & {key: string, count: number}} Notice */

export class Notices {
  /** @type {Map<string, Notice>} oldest first */
  #notices = new Map();
  #onChange;

  /** @param {(notices: Notice[]) => void} [onChange] */
  constructor(onChange = () => {}) {
    this.#onChange = onChange;
  }

  /** @returns {Notice[]} oldest first */
  get list() {
    return [...this.#notices.values()];
  }

  /**
   * @param {string} key what it is about; the same text under the same key counts up instead of piling up
   * @param {Message} message
   */
  show(key, message) {
    const before = this.#notices.get(key);
    const count = before?.text === message.text ? before.count + 1 : 1;
    this.#notices.set(key, { ...message, key, count });
    const [oldest] = this.#notices.keys();
    if (this.#notices.size > MOST) this.#notices.delete(oldest);
    this.#onChange(this.list);
  }

  /** @param {string} keyOrPrefix a key, or the start of several that ends in a colon */
  resolve(keyOrPrefix) {
    const isGroup = keyOrPrefix.endsWith(':');
    const gone = [...this.#notices.keys()].filter((key) => (isGroup ? key.startsWith(keyOrPrefix) : key === keyOrPrefix));
    gone.forEach((key) => this.#notices.delete(key));
    if (gone.length > 0) this.#onChange(this.list);
  }
}
