/**
 * One setting in the panel: its name, its control made from the schema, and what the server said of it.
 * It must not talk to the server.
 */

import { WHEN, isSame, rangeOf, textOf, valueOf } from './settings-model.js';

/** @import { Setting } from './settings-model.js' */

/**
 * @param {string} tag
 * @param {string} className
 * @param {string} [text]
 */
function make(tag, className, text = '') {
  const element = document.createElement(tag);
  element.className = className;
  element.textContent = text;
  return element;
}

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
  /** @type {HTMLInputElement | HTMLSelectElement | null} null where only a restart changes it */
  #control = null;
  #message = make('p', 'field-message');
  #shown = make('output', 'field-value');
  #onEdit;

  /**
   * @param {Setting} setting
   * @param {() => void} onEdit
   */
  constructor(setting, onEdit) {
    this.setting = setting;
    this.#onEdit = onEdit;
    this.element = this.#build();
    this.take(setting.value);
  }

  /** What people wrote, as JSON has it. */
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

  /** @param {unknown} value in force now; what people wrote gives way to it */
  take(value) {
    this.setting = { ...this.setting, value };
    this.#shown.textContent = this.#words(value);
    if (this.#control) this.#write(value);
    this.say('', '');
  }

  /** Back to what is in force. */
  discard() {
    this.take(this.setting.value);
  }

  /**
   * @param {'' | 'refused' | 'applied'} outcome
   * @param {string} words
   */
  say(outcome, words) {
    this.#message.textContent = words;
    this.#message.hidden = !words;
    this.element.dataset.outcome = outcome;
    this.#control?.toggleAttribute('aria-invalid', false);
    if (outcome === 'refused') this.#control?.setAttribute('aria-invalid', 'true');
    this.#mark();
  }

  /** @param {unknown} value */
  #write(value) {
    if (this.#control instanceof HTMLInputElement && this.#control.type === 'checkbox') this.#control.checked = value === true;
    else if (this.#control) this.#control.value = textOf(value);
  }

  #mark() {
    this.element.dataset.edited = String(this.isEdited);
    this.element.dataset.default = String(isSame(this.setting.value, this.setting.schema.default));
  }

  /** @param {unknown} value */
  #words(value) {
    if (typeof value === 'boolean') return value ? 'on' : 'off';
    return textOf(value) || 'empty';
  }

  #build() {
    const { name, label, schema } = this.setting;
    const element = make('div', 'field');
    element.dataset.setting = name;
    element.dataset.class = schema.runtimeClass;
    const isFixed = schema.runtimeClass === 'startupOnly';
    const title = make(isFixed ? 'span' : 'label', 'field-label', label);
    const help = make('p', 'field-help', schema.help);
    const range = make('p', 'field-range', rangeOf(schema));
    help.id = `help-${name}`;
    this.#message.id = `message-${name}`;
    this.#message.setAttribute('role', 'status');
    const head = make('div', 'field-head');
    const badge = make('span', 'badge', WHEN[schema.runtimeClass]);
    if (isFixed) {
      head.append(title, badge, this.#shown);
      if (schema.flag) range.append(' · ', make('code', '', schema.flag));
    } else {
      this.#control = makeControl(this.setting);
      this.#control.id = `setting-${name}`;
      this.#control.name = name;
      this.#control.setAttribute('aria-describedby', `${help.id} ${this.#message.id}`);
      title.setAttribute('for', this.#control.id);
      this.#control.addEventListener('input', () => {
        this.say('', '');
        this.#onEdit();
      });
      range.append(' ', this.#makeReset());
      head.append(title, badge, this.#control);
    }
    element.append(head, help, range, this.#message);
    return element;
  }

  #makeReset() {
    const reset = /** @type {HTMLButtonElement} */ (make('button', 'field-reset', 'Use default'));
    reset.type = 'button';
    reset.setAttribute('aria-label', `Use the default of ${this.setting.label}`);
    reset.addEventListener('click', () => {
      this.#write(this.setting.schema.default);
      this.say('', '');
      this.#onEdit();
      this.focus();
    });
    return reset;
  }
}
