/**
 * The settings panel: loads the settings when it opens, filters them, and sends all changes in one request.
 * It does not validate values: the server's message about a rejected one is shown beside its field.
 */

import { changeConfig, fetchConfig, hasTalkScopeOnly } from '../connection/http-api.js';
import { makeElement } from '../shared/dom.js';
import { SettingField } from './settings-field.js';
import { groupsOf, matches } from './settings-model.js';

/** @import { ConfigChange } from '../connection/http-api.js' */
/** @import { Filter, Group } from './settings-model.js' */

/** @type {Record<string, string>} */
const APPLIED = { active_sessions: 'Applied at once.', new_sessions: 'Applied to new sessions.' };

export class SettingsPanel {
  /** @type {SettingField[]} */
  #fields = [];
  #dialog;
  #groups;
  /** The settings of this browser, which are always shown first. */
  #own;
  #status;
  #search;
  #filter;
  #apply;
  #discard;
  #newSession;

  /**
   * @param {HTMLDialogElement} dialog
   * @param {() => void} onNewSession start a new session, which gets the settings for new sessions
   */
  constructor(dialog, onNewSession) {
    const find = (/** @type {string} */ part) => /** @type {HTMLElement} */ (dialog.querySelector(`[data-part=${part}]`));
    this.#dialog = dialog;
    this.#groups = find('groups');
    this.#own = /** @type {HTMLElement} */ (this.#groups.firstElementChild);
    this.#status = find('status');
    this.#search = /** @type {HTMLInputElement} */ (find('search'));
    this.#filter = /** @type {HTMLSelectElement} */ (find('filter'));
    this.#apply = /** @type {HTMLButtonElement} */ (find('apply'));
    this.#discard = /** @type {HTMLButtonElement} */ (find('discard'));
    this.#newSession = /** @type {HTMLButtonElement} */ (find('new-session'));
    this.#search.addEventListener('input', () => this.#applyFilter());
    this.#filter.addEventListener('change', () => this.#applyFilter());
    this.#discard.addEventListener('click', () => {
      this.#fields.forEach((field) => field.discard());
      this.#edited();
    });
    this.#newSession.addEventListener('click', () => {
      this.#newSession.hidden = true;
      onNewSession();
      this.#showStatus('New session started with the settings above.');
    });
    /** @type {HTMLFormElement} */ (dialog.querySelector('form')).addEventListener('submit', (event) => {
      event.preventDefault();
      void this.#send();
    });
  }

  /** Show the current settings; edits that were not applied are kept. */
  async open() {
    this.#dialog.showModal();
    if (this.#fields.some((field) => field.isEdited)) return;
    this.#showStatus('');
    this.#newSession.hidden = true;
    try {
      this.#draw(groupsOf(await fetchConfig()));
      if (await hasTalkScopeOnly()) this.#showStatus('Your key is for talking only. Changes need an admin key.', true);
    } catch (error) {
      this.#showStatus(/** @type {Error} */ (error).message, true);
    }
  }

  /** @param {Group[]} groups */
  #draw(groups) {
    this.#fields.forEach((field) => field.element.closest('section')?.remove());
    this.#fields = [];
    const sections = groups.map(({ name, title, settings }) => {
      const heading = makeElement('h3', '', title);
      heading.id = `settings-${name}`;
      const fields = settings.map((setting) => new SettingField(setting, () => this.#edited()));
      const section = makeElement('section', '', heading, ...fields.map((field) => field.element));
      section.setAttribute('aria-labelledby', heading.id);
      this.#fields.push(...fields);
      return section;
    });
    this.#own.after(...sections);
    this.#applyFilter();
    this.#edited();
  }

  #applyFilter() {
    const filter = /** @type {Filter} */ (this.#filter.value);
    let shown = 0;
    for (const field of this.#fields) {
      const isShown = field.isEdited || matches(field.setting, this.#search.value, filter);
      field.element.hidden = !isShown;
      shown += Number(isShown);
    }
    for (const section of this.#groups.querySelectorAll('section')) {
      const isShown = section === this.#own ? !this.#search.value && filter === 'all' : section.querySelector('.field:not([hidden])');
      section.hidden = !isShown;
    }
    this.#groups.toggleAttribute('data-empty', this.#fields.length > 0 && shown === 0);
  }

  #edited() {
    const edited = this.#fields.filter((field) => field.isEdited).length;
    this.#apply.disabled = edited === 0;
    this.#apply.textContent = edited > 1 ? `Apply ${edited} changes` : 'Apply';
    this.#discard.disabled = edited === 0;
  }

  async #send() {
    const edited = this.#fields.filter((field) => field.isEdited);
    if (edited.length === 0) return;
    this.#apply.disabled = true;
    try {
      this.#showResult(await changeConfig(Object.fromEntries(edited.map((field) => [field.setting.name, field.value]))));
    } catch (error) {
      this.#showStatus(/** @type {Error} */ (error).message, true);
    }
    this.#edited();
  }

  /** @param {ConfigChange} change */
  #showResult({ applied, rejected, settings, warnings }) {
    /** @type {SettingField | undefined} */
    let firstRejected;
    for (const field of this.#fields) {
      const { name } = field.setting;
      if (name in rejected) {
        field.setOutcome('rejected', rejected[name].message);
        firstRejected ??= field;
      } else if (name in applied) {
        field.setValue(settings[name]);
        field.setOutcome('applied', APPLIED[applied[name].appliesTo] ?? 'Applied.');
      } else if (!field.isEdited) {
        field.setValue(settings[name]);
      }
    }
    const counts = [Object.keys(applied).length, Object.keys(rejected).length];
    const parts = [`${counts[0]} applied`, `${counts[1]} rejected`].filter((_, i) => counts[i] > 0);
    const notes = warnings.map((warning) => `Note: ${warning}.`);
    this.#showStatus([`${parts.join(', ')}.`, ...notes].join(' '), counts[1] > 0);
    const needsNewSession = Object.values(applied).some((each) => each.appliesTo === 'new_sessions');
    if (needsNewSession) this.#newSession.hidden = false;
    firstRejected?.focus();
  }

  /**
   * @param {string} text
   * @param {boolean} [isBad]
   */
  #showStatus(text, isBad = false) {
    this.#status.textContent = text;
    this.#status.hidden = !text;
    this.#status.dataset.tone = isBad ? 'bad' : 'good';
  }
}
