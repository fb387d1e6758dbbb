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
 * @typedef {object} NoticeActions
 * @property {(key: string) => void} onDismiss
 * @property {() => void} onRetry
 */

export class NoticesView {
  /** @type {Map<string, HTMLElement>} */
  #elements = new Map();
  #area;
  #actions;

  /**
   * @param {HTMLElement} area
   * @param {NoticeActions} actions
   */
  constructor(area, actions) {
    this.#area = area;
    this.#actions = actions;
  }

  /** @param {Notice[]} notices oldest first */
  draw(notices) {
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
      // A screen reader reads what changes: an untouched sentence must stay untouched.
      if (text.textContent !== words) text.textContent = words;
    }
  }

  /** @param {Notice} notice */
  #add(notice) {
    const element = document.createElement('div');
    element.className = 'notice';
    element.dataset.testid = 'notice';
    element.append(document.createElement('p'));
    if (notice.canRetry) element.append(makeButton('Try now', 'quiet-button', this.#actions.onRetry));
    const dismiss = makeButton('×', 'quiet-button dismiss', () => this.#actions.onDismiss(notice.key));
    dismiss.setAttribute('aria-label', 'Dismiss this message');
    element.append(dismiss);
    this.#elements.set(notice.key, element);
    this.#area.append(element);
    return element;
  }
}
