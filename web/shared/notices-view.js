/**
 * Draws the sentences on show, each with a way to put it aside.
 * It must not word them or decide when they go.
 */

/** @import { Notice } from './notices.js' */

/**
 * @param {string} label
 * @param {string} className
 * @param {() => void} onClick
 */
function makeButton(label, className, onClick) {
  const button = document.createElement('button');
  button.type = 'button';
  button.className = className;
  button.textContent = label;
  button.addEventListener('click', onClick);
  return button;
}

/**
 * A screen reader reads what changes: an untouched sentence must stay untouched.
 *
 * @param {HTMLElement} element
 * @param {string} text
 */
function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/**
 * @typedef {object} NoticeActions
 * @property {(key: string) => void} onDismiss
 * @property {() => void} onLastDismissed
 * @property {() => void} onRetry
 */

export class NoticesView {
  /** @type {Map<string, HTMLElement>} */
  #elements = new Map();
  #area;
  #actions;
  #more = makeButton('', 'quiet-button more', () => this.#unfold(true));

  /**
   * @param {HTMLElement} area
   * @param {NoticeActions} actions
   */
  constructor(area, actions) {
    this.#area = area;
    this.#actions = actions;
    this.#more.hidden = true;
    area.append(this.#more);
  }

  /** @param {Notice[]} notices oldest first */
  draw(notices) {
    const others = notices.length - 1;
    this.#more.hidden = others < 1;
    write(this.#more, others === 1 ? 'One more message' : `${others} more messages`);
    if (others < 1) this.#unfold(false);
    const shown = new Set(notices.map((notice) => notice.key));
    for (const [key, element] of this.#elements) {
      if (shown.has(key)) continue;
      element.remove();
      this.#elements.delete(key);
    }
    for (const notice of notices) {
      const element = this.#elements.get(notice.key) ?? this.#add(notice);
      element.dataset.level = notice.level;
      const text = /** @type {HTMLElement} */ (element.firstElementChild);
      const words = notice.count > 1 ? `${notice.text} (${notice.count} times)` : notice.text;
      write(text, words);
    }
  }

  /** @param {boolean} isUnfolded whether all are shown where there is little room, instead of the newest only */
  #unfold(isUnfolded) {
    this.#area.toggleAttribute('data-unfolded', isUnfolded);
  }

  /** @param {Notice} notice */
  #add(notice) {
    const element = document.createElement('div');
    element.className = 'notice';
    element.dataset.testid = 'notice';
    element.append(document.createElement('p'));
    if (notice.retry) element.append(makeButton(notice.retry, 'quiet-button', this.#actions.onRetry));
    const dismiss = makeButton('×', 'quiet-button dismiss', () => {
      this.#actions.onDismiss(notice.key);
      // The focus goes on to the next message, or to where everything began.
      const next = /** @type {HTMLElement | null} */ (this.#area.querySelector('.notice:last-child .dismiss'));
      if (next) next.focus();
      else this.#actions.onLastDismissed();
    });
    dismiss.setAttribute('aria-label', 'Dismiss this message');
    element.append(dismiss);
    this.#elements.set(notice.key, element);
    this.#area.append(element);
    return element;
  }
}
