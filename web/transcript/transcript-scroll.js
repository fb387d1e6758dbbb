/**
 * Keeps the newest words in sight while the reader is at the end, lets go when the reader scrolls up, and offers the way back.
 * It must not change what is on the page besides its own button.
 */

/** How near the newest words count as being there. */
const NEAR_END_PX = 48;

/** What may stand below the newest words and still be in sight with them: a row of closed cards. */
const BELOW_PX = 80;

export class TranscriptScroll {
  #isFollowing = true;
  #lastTopPx = 0;
  #unread = 0;
  #button;
  #label;
  #transcript;
  #dock;

  /**
   * @param {HTMLElement} button leads to the newest words; shown while they are out of sight
   * @param {HTMLElement} transcript gets the focus when the button that had it goes
   * @param {HTMLElement} dock covers the lower edge of the window
   */
  constructor(button, transcript, dock) {
    this.#button = button;
    this.#transcript = transcript;
    this.#dock = dock;
    this.#label = /** @type {HTMLElement} */ (button.querySelector('span'));
    button.addEventListener('click', () => {
      transcript.focus({ preventScroll: true });
      this.follow();
    });
    addEventListener('scroll', () => this.#scrolled(), { passive: true });
    // Words, messages and the window itself change the height: whoever follows stays at the end.
    new ResizeObserver(() => this.#settle()).observe(document.body);
    addEventListener('resize', () => this.#settle());
  }

  /** Go to the end and stay there. */
  follow() {
    this.#isFollowing = true;
    this.#unread = 0;
    this.#settle();
    this.#draw();
  }

  /** @param {boolean} isNew whether a block was added */
  changed(isNew) {
    if (isNew && !this.#isFollowing) this.#unread += 1;
    this.#settle();
    this.#draw();
  }

  /** Nothing is scrolled while there are no words, or another view is on show. */
  get #isOnShow() {
    return this.#transcript.firstElementChild !== null && this.#transcript.offsetParent !== null;
  }

  #settle() {
    if (!this.#isFollowing || !this.#isOnShow) return;
    const page = document.documentElement;
    page.scrollTop = this.#wantedTopPx;
    this.#lastTopPx = page.scrollTop;
  }

  /** Where the page stands while the newest words are just above the dock, with a row of cards, or the page's end. */
  get #wantedTopPx() {
    const { scrollTop, scrollHeight, clientHeight } = document.documentElement;
    const endPx = this.#transcript.getBoundingClientRect().bottom + scrollTop;
    const endInSightPx = endPx + BELOW_PX + this.#dock.offsetHeight - clientHeight;
    return Math.max(0, Math.min(scrollHeight - clientHeight, endInSightPx));
  }

  #scrolled() {
    if (!this.#isOnShow) return;
    const { scrollTop } = document.documentElement;
    const beyondPx = scrollTop - this.#wantedTopPx;
    // Content that grows moves the end away without any scrolling: only a way up, or past the words, is the reader's wish.
    if (Math.abs(beyondPx) < NEAR_END_PX) this.#isFollowing = true;
    else if (scrollTop < this.#lastTopPx || beyondPx > 0) this.#isFollowing = false;
    this.#button.toggleAttribute('data-above', beyondPx > 0);
    this.#lastTopPx = scrollTop;
    if (this.#isFollowing) this.#unread = 0;
    this.#draw();
  }

  #draw() {
    const label = this.#unread > 0 ? `${this.#unread} new` : 'Newest';
    if (this.#label.textContent !== label) this.#label.textContent = label;
    this.#button.hidden = this.#isFollowing;
  }
}
