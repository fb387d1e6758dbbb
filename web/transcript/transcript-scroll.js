/**
 * Auto-scroll: keeps the newest words visible, stops when the reader scrolls up, and shows a button that leads back.
 * Apart from that button it changes nothing on the page.
 */

/** Distance from the newest words up to which the page counts as being at the end. */
const NEAR_END_PX = 48;

/** Space below the newest words that stays visible with them: a row of closed cards. */
const BELOW_PX = 80;

export class TranscriptScroll {
  #isFollowing = true;
  #lastTopPx = 0;
  #unread = 0;
  #button;
  #label;
  #transcript;
  #bottomBar;

  /**
   * @param {HTMLElement} button scrolls to the newest words; shown while they are not visible
   * @param {HTMLElement} transcript gets the focus when the button is hidden
   * @param {HTMLElement} bottomBar covers the lower edge of the window
   */
  constructor(button, transcript, bottomBar) {
    this.#button = button;
    this.#transcript = transcript;
    this.#bottomBar = bottomBar;
    this.#label = /** @type {HTMLElement} */ (button.querySelector('span'));
    button.addEventListener('click', () => {
      transcript.focus({ preventScroll: true });
      this.follow();
    });
    addEventListener('scroll', () => this.#scrolled(), { passive: true });
    // Words, notices and the window change the height of the page; while following, it stays at the end.
    new ResizeObserver(() => this.#scrollToEnd()).observe(document.body);
    addEventListener('resize', () => this.#scrollToEnd());
  }

  /** Scroll to the end and stay there. */
  follow() {
    this.#isFollowing = true;
    this.#unread = 0;
    this.#scrollToEnd();
    this.#draw();
  }

  /** @param {number} added blocks that were added */
  changed(added) {
    if (!this.#isFollowing) this.#unread += added;
    this.#scrollToEnd();
    this.#draw();
  }

  /** False without words or while another view is shown; then nothing is scrolled. */
  get #isVisible() {
    return this.#transcript.firstElementChild !== null && this.#transcript.offsetParent !== null;
  }

  #scrollToEnd() {
    if (!this.#isFollowing || !this.#isVisible) return;
    const page = document.documentElement;
    page.scrollTop = this.#endTopPx;
    this.#lastTopPx = page.scrollTop;
  }

  /** Scroll position with the newest words, and BELOW_PX, just above the bottom bar; at most the end of the page. */
  get #endTopPx() {
    const { scrollTop, scrollHeight, clientHeight } = document.documentElement;
    const endPx = this.#transcript.getBoundingClientRect().bottom + scrollTop;
    const endInSightPx = endPx + BELOW_PX + this.#bottomBar.offsetHeight - clientHeight;
    return Math.max(0, Math.min(scrollHeight - clientHeight, endInSightPx));
  }

  #scrolled() {
    if (!this.#isVisible) return;
    const { scrollTop } = document.documentElement;
    const beyondPx = scrollTop - this.#endTopPx;
    // Growing content moves the end away without any scrolling. Only a scroll up, or past the end, is done by the reader.
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
