/**
 * One setting in the panel: label, a control made from its schema, and the result of the last change.
 * It does not contact the server.
 */

import { makeElement } from '../shared/dom.js';
import { EFFECTIVE, isSame, problemOf, rangeOf, textOf, valueOf } from './settings-model.js';

/** @import { Setting } from './settings-model.js' */

/**
 * @param {Setting} setting
 * @returns {HTMLInputElement | HTMLSelectElement}
 */
function makeControl({ schema }) {
  if (schema.choices.length > 0) {
    const select = document.createElement('select');
    select.append(...schema.choices.map((choice) => new Option(choice, choice)));
    return select;
  }
  const input = document.createElement('input');
  input.type = schema.type === 'boolean' ? 'checkbox' : 'text';
  if (schema.type === 'boolean') {
    input.className = 'switch';
    input.setAttribute('role', 'switch');
  }
  if (schema.type === 'integer') input.inputMode = 'numeric';
  if (schema.type === 'number' || schema.type === 'numbers') input.inputMode = 'decimal';
  input.autocomplete = 'off';
  input.spellcheck = false;
  return input;
}

export class SettingField {
  /** @type {HTMLInputElement | HTMLSelectElement | null} null if only a restart changes the setting */
  #control = null;
  #message = makeElement('p', 'field-message');
  #shown = makeElement('output', 'field-value');
  #onEdit;

  /**
   * @param {Setting} setting
   * @param {() => void} onEdit
   */
  constructor(setting, onEdit) {
    this.setting = setting;
    this.#onEdit = onEdit;
    this.element = this.#build();
    this.setValue(setting.value);
  }

  /** The value in the control, as JSON. */
  get value() {
    const control = this.#control;
    if (!control) return this.setting.value;
    const isSwitch = control instanceof HTMLInputElement && control.type === 'checkbox';
    return valueOf(this.setting.schema, isSwitch ? control.checked : control.value);
  }

  get isEdited() {
    return !isSame(this.value, this.setting.value);
  }

  focus() {
    this.#control?.focus();
  }

  /** @param {unknown} value the current one; replaces any edit */
  setValue(value) {
    this.setting = { ...this.setting, value };
    this.#shown.textContent = this.#format(value);
    if (this.#control) this.#write(value);
    this.setOutcome('', '');
  }

  /** Undo the edit. */
  discard() {
    this.setValue(this.setting.value);
  }

  /**
   * @param {'' | 'rejected' | 'applied'} outcome of the last change
   * @param {string} message
   */
  setOutcome(outcome, message) {
    this.#message.textContent = message;
    this.#message.hidden = !message;
    this.element.dataset.outcome = outcome;
    this.#control?.toggleAttribute('aria-invalid', false);
    if (outcome === 'rejected') this.#control?.setAttribute('aria-invalid', 'true');
    this.#updateMarks();
  }

  /** @param {unknown} value */
  #write(value) {
    if (this.#control instanceof HTMLInputElement && this.#control.type === 'checkbox') this.#control.checked = value === true;
    else if (this.#control) this.#control.value = textOf(value);
  }

  #updateMarks() {
    this.element.dataset.edited = String(this.isEdited);
    this.element.dataset.default = String(isSame(this.setting.value, this.setting.schema.default));
  }

  /** @param {unknown} value */
  #format(value) {
    if (typeof value === 'boolean') return value ? 'on' : 'off';
    return textOf(value) || 'empty';
  }

  /** The value was edited: mark one that is out of range at once. */
  #edited() {
    const problem = problemOf(this.setting.schema, this.value);
    this.setOutcome(problem ? 'rejected' : '', problem);
    this.#onEdit();
  }

  #build() {
    const { name, label, schema } = this.setting;
    const element = makeElement('div', 'field');
    element.dataset.setting = name;
    element.dataset.class = schema.runtimeClass;
    const isFixed = schema.runtimeClass === 'startupOnly';
    const title = makeElement(isFixed ? 'span' : 'label', 'field-label', schema.unit ? `${label} (${schema.unit})` : label);
    const help = makeElement('p', 'field-help', schema.help);
    const range = makeElement('p', 'field-range', rangeOf(schema));
    help.id = `help-${name}`;
    this.#message.id = `message-${name}`;
    this.#message.setAttribute('role', 'status');
    const head = makeElement('div', 'field-head');
    const badge = makeElement('span', 'badge', EFFECTIVE[schema.runtimeClass]);
    if (isFixed) {
      head.append(title, badge, this.#shown);
      if (schema.flag) range.append(' · ', makeElement('code', '', schema.flag));
    } else {
      this.#control = makeControl(this.setting);
      this.#control.id = `setting-${name}`;
      this.#control.name = name;
      this.#control.setAttribute('aria-describedby', `${help.id} ${this.#message.id}`);
      title.setAttribute('for', this.#control.id);
      this.#control.addEventListener('input', () => this.#edited());
      range.append(' ', this.#makeReset());
      head.append(title, badge, this.#control);
    }
    element.append(head, help, range, this.#message);
    return element;
  }

  #makeReset() {
    const reset = /** @type {HTMLButtonElement} */ (makeElement('button', 'field-reset', 'Use default'));
    reset.type = 'button';
    reset.setAttribute('aria-label', `Use the default of ${this.setting.label}`);
    reset.addEventListener('click', () => {
      this.#write(this.setting.schema.default);
      this.#edited();
      this.focus();
    });
    return reset;
  }
}
