/**
 * What recognises the speech, in the talker's words: the model and its language beside the Talk button, what to say first, and
 * what happens with the sound. It holds what the server tells about itself.
 */

import { fetchHealth } from './connection/http-api.js';
import { byId, makeElement, setText } from './shared/dom.js';
import { languageMessage, languageName, modelName, welcomeTexts } from './shared/messages.js';

/** @import { ServerEvent, ServerFacts } from './connection/protocol.js' */
/** @import { Notices } from './shared/notices.js' */

/** Languages whose speakers were given the notice about it; kept in the browser. */
const EXPLAINED = 'trio-stt.explained-language';

/**
 * Whether none of the languages of the browser is the one of the server.
 *
 * @param {string | null} language code, '' where the model decides, null where it is not known
 * @param {readonly string[]} spoken codes of the user's languages
 */
export function isForeign(language, spoken) {
  const base = (/** @type {string} */ code) => code.toLowerCase().split(/[-_]/)[0];
  return Boolean(language) && spoken.length > 0 && !spoken.some((each) => base(each) === base(language ?? ''));
}

export class RunningModel {
  /** @type {ServerFacts} */
  #server = { language: null, wakeWords: '', keepsSound: false, maxUploadBytes: Infinity };
  #model = '';
  /** @type {string[]} codes of the languages that a session may choose, sorted by name */
  #languages = [];
  #language = '';
  #area;
  #notices;
  #onLanguage;

  /**
   * @param {HTMLElement} area
   * @param {Notices} notices
   * @param {(code: string | null) => void} onLanguage the user chose a language for this page; null: the server's setting
   */
  constructor(area, notices, onLanguage) {
    this.#area = area;
    this.#notices = notices;
    this.#onLanguage = onLanguage;
  }

  /** @param {ServerEvent} event */
  eventReceived(event) {
    if (event.type === 'hello') {
      this.#server = event.server;
      this.#draw();
      this.#explainLanguage();
    } else if (event.type === 'ready') {
      void this.#readModel();
    }
  }

  async #readModel() {
    try {
      const { scheduler } = await fetchHealth();
      const lanes = Object.entries(scheduler.workers);
      const [, main] = lanes.find(([name]) => name === 'main') ?? lanes[0] ?? [];
      this.#model = main?.model || main?.engine || '';
      const { languages = [], languagePerSession = false } = main?.capabilities ?? {};
      this.#languages = languagePerSession ? languages.toSorted((a, b) => languageName(a).localeCompare(languageName(b))) : [];
    } catch {
      this.#model = ''; // the line then shows the language only
    }
    this.#draw();
  }

  #draw() {
    const { title, privacy } = welcomeTexts(this.#server);
    setText(byId('welcome-title'), title);
    setText(byId('privacy'), privacy);
    const model = makeElement('span', '', modelName(this.#model));
    model.title = this.#model;
    const parts = [makeElement('span', '', this.#languages.length > 1 ? this.#choice() : languageName(this.#server.language)), model];
    if (this.#server.keepsSound) parts.unshift(makeElement('strong', 'keeps-sound', 'Recorded by the server'));
    this.#area.replaceChildren(...parts.filter((part) => part.textContent !== ''));
  }

  #choice() {
    const select = document.createElement('select');
    select.setAttribute('aria-label', 'Language that is spoken');
    select.append(
      new Option(languageName(this.#server.language), ''),
      ...this.#languages.filter((code) => code !== this.#server.language).map((code) => new Option(languageName(code), code)),
    );
    select.value = this.#language;
    select.addEventListener('change', () => {
      this.#language = select.value;
      this.#notices.resolve('language');
      this.#onLanguage(select.value || null);
    });
    return select;
  }

  /** Explain once that the server does not know the user's language. */
  #explainLanguage() {
    const { language } = this.#server;
    if (!language || this.#language || !isForeign(language, navigator.languages)) return;
    try {
      if (localStorage.getItem(EXPLAINED) === language) return;
      localStorage.setItem(EXPLAINED, language);
    } catch {
      // Without storage, the notice comes in each visit.
    }
    this.#notices.show('language', languageMessage(language));
  }
}
