/**
 * Helpers for the page's elements. They hold no state.
 */

/** @import { Chip } from './messages.js' */

/**
 * @template {HTMLElement} [T=HTMLElement]
 * @param {string} id of an element in index.html
 * @returns {T}
 */
export const byId = (id) => /** @type {T} */ (document.getElementById(id));

/**
 * @param {string} tag
 * @param {string} [className]
 * @param {...(Node | string)} children
 */
export function makeElement(tag, className = '', ...children) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  element.append(...children);
  return element;
}

/**
 * Write a text only if it differs: a replaced text node loses the user's selection, and screen readers announce it again.
 *
 * @param {Element} element
 * @param {string} text
 */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/**
 * @param {HTMLElement} element
 * @param {Chip} chip an empty label hides it
 */
export function drawChip(element, { label, tone }) {
  setText(element, label);
  if (element.dataset.tone !== tone) element.dataset.tone = tone;
  element.hidden = !label;
}
