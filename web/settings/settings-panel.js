/**
 * The settings panel: read from the server when it opens, searched, and sent back as one request.
 * It must not judge values: what the server refuses is shown beside its field, in the server's words.
 */

import { changeConfig, fetchConfig, mayOnlyTalk } from '../connection/http-api.js';
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
  #status;
  #search;
  #filter;
  #apply;
  #discard;
  #renew;

  /**
   * @param {HTMLDialogElement} dialog
   * @param {() => void} onRenew connect anew, so that the settings of new sessions hold
   */
  constructor(dialog, onRenew) {
    const find = (/** @type {string} */ part) => /** @type {HTMLElement} */ (dialog.querySelector(`[data-part=${part}]`));
    this.#dialog = dialog;
    this.#groups = find('groups');
    this.#status = find('status');
    this.#search = /** @type {HTMLInputElement} */ (find('search'));
    this.#filter = /** @type {HTMLSelectElement} */ (find('filter'));
    this.#apply = /** @type {HTMLButtonElement} */ (find('apply'));
    this.#discard = /** @type {HTMLButtonElement} */ (find('discard'));
    this.#renew = /** @type {HTMLButtonElement} */ (find('renew'));
    this.#search.addEventListener('input', () => this.#sift());
    this.#filter.addEventListener('change', () => this.#sift());
    this.#discard.addEventListener('click', () => {
      this.#fields.forEach((field) => field.discard());
      this.#edited();
    });
    this.#renew.addEventListener('click', () => {
      this.#renew.hidden = true;
      onRenew();
      this.#say('Connected anew: this session has the settings above.');
    });
    /** @type {HTMLFormElement} */ (dialog.querySelector('form')).addEventListener('submit', (event) => {
      event.preventDefault();
      void this.#send();
    });
  }

  /** Show what is in force now; edits that were not applied are kept. */
  async open() {
    this.#dialog.showModal();
    if (this.#fields.some((field) => field.isEdited)) return;
    this.#say('');
    this.#renew.hidden = true;
    try {
      this.#draw(groupsOf(await fetchConfig()));
      if (await mayOnlyTalk()) this.#say('The key in use is for talking only: changes need an admin key.', true);
    } catch (error) {
      this.#say(/** @type {Error} */ (error).message, true);
    }
  }

  /** @param {Group[]} groups */
  #draw(groups) {
    this.#fields = [];
    const sections = groups.map(({ name, title, settings }) => {
      const section = document.createElement('section');
      const heading = document.createElement('h3');
      heading.id = `settings-${name}`;
      heading.textContent = title;
      section.setAttribute('aria-labelledby', heading.id);
      const fields = settings.map((setting) => new SettingField(setting, () => this.#edited()));
      section.append(heading, ...fields.map((field) => field.element));
      this.#fields.push(...fields);
      return section;
    });
    this.#groups.replaceChildren(...sections);
    this.#sift();
    this.#edited();
  }

  #sift() {
    const filter = /** @type {Filter} */ (this.#filter.value);
    let found = 0;
    for (const field of this.#fields) {
      const isShown = field.isEdited || matches(field.setting, this.#search.value, filter);
      field.element.hidden = !isShown;
      found += Number(isShown);
    }
    for (const section of this.#groups.querySelectorAll('section')) {
      section.hidden = !section.querySelector('.field:not([hidden])');
    }
    this.#groups.toggleAttribute('data-empty', this.#fields.length > 0 && found === 0);
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
      this.#settle(await changeConfig(Object.fromEntries(edited.map((field) => [field.setting.name, field.value]))));
    } catch (error) {
      this.#say(/** @type {Error} */ (error).message, true);
    }
    this.#edited();
  }

  /** @param {ConfigChange} change */
  #settle({ applied, rejected, settings, warnings }) {
    /** @type {SettingField | undefined} */
    let firstRefused;
    for (const field of this.#fields) {
      const { name } = field.setting;
      if (name in rejected) {
        field.say('refused', rejected[name].message);
        firstRefused ??= field;
      } else if (name in applied) {
        field.take(settings[name]);
        field.say('applied', APPLIED[applied[name].appliesTo] ?? 'Applied.');
      } else if (!field.isEdited) {
        field.take(settings[name]);
      }
    }
    const counts = [Object.keys(applied).length, Object.keys(rejected).length];
    const words = [`${counts[0]} applied`, `${counts[1]} refused`].filter((_, i) => counts[i] > 0);
    this.#say([`${words.join(', ')}.`, ...warnings.map((warning) => `Note: ${warning}.`)].join(' '), counts[1] > 0);
    const needsNew = Object.values(applied).some((each) => each.appliesTo === 'new_sessions');
    if (needsNew) this.#renew.hidden = false;
    firstRefused?.focus();
  }

  /**
   * @param {string} words
   * @param {boolean} [isBad]
   */
  #say(words, isBad = false) {
    this.#status.textContent = words;
    this.#status.hidden = !words;
    this.#status.dataset.tone = isBad ? 'bad' : 'good';
  }
}
