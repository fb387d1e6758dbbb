/**
 * Keeps the newest words in sight while the reader is at the end, lets go when the reader scrolls up, and offers the way back.
 * It must not change what is on the page besides its own button.
 */

/** How near the end counts as being there. */
const NEAR_END_PX = 48;

export class TranscriptScroll {
  #isFollowing = true;
  #lastTopPx = 0;
  #unread = 0;
  #button;
  #label;
  #transcript;

  /**
   * @param {HTMLElement} button leads to the newest words; shown while they are out of sight
   * @param {HTMLElement} transcript gets the focus when the button that had it goes
   */
  constructor(button, transcript) {
    this.#button = button;
    this.#transcript = transcript;
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
    page.scrollTop = page.scrollHeight;
    this.#lastTopPx = page.scrollTop;
  }

  #scrolled() {
    if (!this.#isOnShow) return;
    const { scrollTop, scrollHeight, clientHeight } = document.documentElement;
    const isAtEnd = scrollHeight - scrollTop - clientHeight < NEAR_END_PX;
    // Content that grows moves the end away without any scrolling: only a way up is the reader's wish.
    if (isAtEnd) this.#isFollowing = true;
    else if (scrollTop < this.#lastTopPx) this.#isFollowing = false;
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
