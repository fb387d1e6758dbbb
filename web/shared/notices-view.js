/**
 * Draws the notices, each with a button that dismisses it.
 * It neither writes their texts nor decides when they disappear.
 */

import { makeElement, setText } from './dom.js';

/** @import { Notice } from './notices.js' */

/**
 * @param {string} label
 * @param {string} className
 * @param {() => void} onClick
 */
function makeButton(label, className, onClick) {
  const button = /** @type {HTMLButtonElement} */ (makeElement('button', className, label));
  button.type = 'button';
  button.addEventListener('click', onClick);
  return button;
}

/**
 * @typedef {object} NoticeActions
 * @property {(key: string) => void} onDismiss
 * @property {() => void} onLastDismissed
 * @property {(key: string) => void} onAction its own button was pressed
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
    setText(this.#more, others === 1 ? 'One more message' : `${others} more messages`);
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
      setText(text, notice.count > 1 ? `${notice.text} (${notice.count} times)` : notice.text);
    }
  }

  /** @param {boolean} isUnfolded whether a small screen shows all notices, or only the newest */
  #unfold(isUnfolded) {
    this.#area.toggleAttribute('data-unfolded', isUnfolded);
  }

  /** @param {Notice} notice */
  #add(notice) {
    const element = makeElement('div', 'notice', makeElement('p'));
    element.dataset.testid = 'notice';
    if (notice.action) element.append(makeButton(notice.action, 'quiet-button', () => this.#actions.onAction(notice.key)));
    const dismiss = makeButton('×', 'quiet-button dismiss', () => {
      this.#actions.onDismiss(notice.key);
      // The focus moves to another notice's button, or back to the Talk button.
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
