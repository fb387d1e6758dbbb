/**
 * The key to the server: kept for as long as the tab is open, or on this device for who wants that.
 * It must not judge keys, nor put one anywhere else.
 */

const NAME = 'trio-stt.key';

/** @typedef {Pick<Storage, 'getItem' | 'setItem' | 'removeItem'>} Shelf */

export class Keys {
  #current = '';
  #isRemembered = false;
  #shelves;

  /** @param {{tab: () => Shelf, device: () => Shelf}} [shelves] asked for each time: a browser may forbid them */
  constructor(shelves = { tab: () => sessionStorage, device: () => localStorage }) {
    this.#shelves = shelves;
    const ofTab = this.#try(() => shelves.tab().getItem(NAME)) ?? '';
    const ofDevice = this.#try(() => shelves.device().getItem(NAME)) ?? '';
    this.#current = ofTab || ofDevice;
    this.#isRemembered = !ofTab && ofDevice !== '';
  }

  /** The key, or ''. */
  get current() {
    return this.#current;
  }

  /** Whether it outlives the tab. */
  get isRemembered() {
    return this.#isRemembered;
  }

  /**
   * @param {string} key
   * @param {boolean} isRemembered
   */
  use(key, isRemembered) {
    this.forget();
    this.#current = key;
    this.#isRemembered = isRemembered;
    this.#try(() => (isRemembered ? this.#shelves.device() : this.#shelves.tab()).setItem(NAME, key));
  }

  forget() {
    this.#current = '';
    this.#isRemembered = false;
    this.#try(() => this.#shelves.tab().removeItem(NAME));
    this.#try(() => this.#shelves.device().removeItem(NAME));
  }

  /**
   * @template T
   * @param {() => T} action
   * @returns {T | undefined}
   */
  #try(action) {
    try {
      return action();
    } catch {
      return undefined; // without storage, a key holds for as long as the page is open
    }
  }
}
