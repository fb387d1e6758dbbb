/**
 * The messages shown now: one per key, repeats counted, at most four.
 * It neither writes their texts nor draws them.
 */

/** @import { Message } from './messages.js' */

/** More at once would hide the transcript, so the oldest is removed. */
const MAX_NOTICES = 4;

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
   * @param {string} key its subject; a repeat of the same text under one key only increases `count`
   * @param {Message} message
   */
  show(key, message) {
    const before = this.#notices.get(key);
    const count = before?.text === message.text ? before.count + 1 : 1;
    this.#notices.set(key, { ...message, key, count });
    const [oldest] = this.#notices.keys();
    if (this.#notices.size > MAX_NOTICES) this.#notices.delete(oldest);
    this.#onChange(this.list);
  }

  /** @param {string} keyOrPrefix a key, or a prefix that ends in a colon and removes all keys that start with it */
  resolve(keyOrPrefix) {
    const isGroup = keyOrPrefix.endsWith(':');
    const removed = [...this.#notices.keys()].filter((key) => (isGroup ? key.startsWith(keyOrPrefix) : key === keyOrPrefix));
    removed.forEach((key) => this.#notices.delete(key));
    if (removed.length > 0) this.#onChange(this.list);
  }
}
