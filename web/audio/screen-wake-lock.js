/**
 * Keeps the screen on while it is needed: a phone whose screen locks takes the microphone away.
 * It never touches the DOM. Browsers without wake locks, and pages without HTTPS, do nothing.
 */

/** @typedef {{release: () => Promise<void>}} Lock */

export class ScreenWakeLock {
  #isWanted = false;
  /** @type {Lock | null} */
  #lock = null;
  #isAsking = false;
  #request;

  /** @param {() => Promise<Lock> | undefined} [request] asks the browser */
  constructor(request = () => navigator.wakeLock?.request('screen')) {
    this.#request = request;
  }

  /** Take or release the lock. @param {boolean} isWanted */
  keep(isWanted) {
    if (this.#isWanted === isWanted) return;
    this.#isWanted = isWanted;
    if (isWanted) void this.#take();
    else this.#release();
  }

  /** The page is visible again: browsers release the lock of a hidden page. Never rejects. */
  async renew() {
    if (!this.#isWanted) return;
    this.#release();
    await this.#take();
  }

  async #take() {
    if (this.#isAsking) return;
    this.#isAsking = true;
    try {
      this.#lock = (await this.#request()) ?? null;
    } catch {
      this.#lock = null; // refused, to save the battery for example: talking goes on
    }
    this.#isAsking = false;
    if (!this.#isWanted) this.#release();
  }

  #release() {
    this.#lock?.release().catch(() => {}); // it may be released already
    this.#lock = null;
  }
}
