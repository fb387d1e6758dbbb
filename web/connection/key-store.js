/**
 * Stores the API key: until the tab is closed, or on this device if the user wants that.
 * It does not validate keys and writes them nowhere else.
 */

const NAME = 'trio-stt.key';

/** @typedef {Pick<Storage, 'getItem' | 'setItem' | 'removeItem'>} KeyStorage */

export class KeyStore {
  #current = '';
  #isRemembered = false;
  #storages;

  /** @param {{tab: () => KeyStorage, device: () => KeyStorage}} [storages] functions, because reading the property throws where the browser forbids storage */
  constructor(storages = { tab: () => sessionStorage, device: () => localStorage }) {
    this.#storages = storages;
    const ofTab = this.#try(() => storages.tab().getItem(NAME)) ?? '';
    const ofDevice = this.#try(() => storages.device().getItem(NAME)) ?? '';
    this.#current = ofTab || ofDevice;
    this.#isRemembered = !ofTab && ofDevice !== '';
  }

  /** The API key, or ''. */
  get current() {
    return this.#current;
  }

  /** Whether the key stays when the tab is closed. */
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
    this.#try(() => (isRemembered ? this.#storages.device() : this.#storages.tab()).setItem(NAME, key));
  }

  forget() {
    this.#current = '';
    this.#isRemembered = false;
    this.#try(() => this.#storages.tab().removeItem(NAME));
    this.#try(() => this.#storages.device().removeItem(NAME));
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
      return undefined; // without storage, the key lasts until the page is closed
    }
  }
}
