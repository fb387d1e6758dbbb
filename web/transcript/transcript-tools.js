/**
 * Tools for the transcript: details, copy, save, clear and search.
 * It does not know the file formats.
 */

import { writeSubtitles } from '../connection/http-api.js';
import { byId } from '../shared/dom.js';
import { savePreferences } from '../shared/preferences.js';
import { fileName, FORMATS, subtitleSegments } from './export.js';
import { subtitlesFailedMessage } from './transcript-messages.js';
import { TranscriptSearch } from './transcript-search.js';

/** @import { ApiError } from '../connection/http-api.js' */
/** @import { Format } from './export.js' */
/** @import { Notices } from '../shared/notices.js' */
/** @import { Preferences } from '../shared/preferences.js' */
/** @import { Transcript } from './transcript.js' */

const COPIED_FOR_MS = 2000;
const MENU_GAP_PX = 6;

/**
 * @typedef {object} ToolParts
 * @property {Transcript} transcript
 * @property {Preferences} preferences changed in place
 * @property {Notices} notices
 * @property {() => void} onClear
 * @property {(text: string) => void} announce makes screen readers read a text
 */

/**
 * @param {string} name
 * @param {Blob} content
 */
function download(name, content) {
  const url = URL.createObjectURL(content);
  const link = document.createElement('a');
  link.href = url;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url)); // the download has started by then
}

export class TranscriptTools {
  #copyButton = /** @type {HTMLButtonElement} */ (byId('copy'));
  #saveButton = /** @type {HTMLButtonElement} */ (byId('save'));
  #clearButton = /** @type {HTMLButtonElement} */ (byId('clear'));
  #menu = byId('save-menu');
  #search;
  #parts;

  /** @param {ToolParts} parts */
  constructor(parts) {
    this.#parts = parts;
    this.#search = new TranscriptSearch({
      form: byId('search'),
      input: byId('search-input'),
      count: byId('search-count'),
      previous: byId('search-previous'),
      next: byId('search-next'),
      transcript: byId('transcript'),
    });
    byId('details').addEventListener('click', () => {
      parts.preferences.showDetails = !parts.preferences.showDetails;
      savePreferences(parts.preferences);
      this.#drawDetails();
    });
    this.#drawDetails();
    this.#copyButton.addEventListener('click', () => this.#copy());
    this.#clearButton.addEventListener('click', parts.onClear);
    this.#menu.addEventListener('toggle', () => this.#placeMenu());
    this.#menu.addEventListener('click', ({ target }) => {
      const format = target instanceof Element ? target.closest('button')?.dataset.format : undefined;
      if (format) void this.#save(/** @type {Format} */ (format));
    });
    this.changed();
  }

  /** The transcript has changed. */
  changed() {
    const { isEmpty } = this.#parts.transcript;
    byId('transcript-tools').hidden = isEmpty;
    byId('welcome').hidden = !isEmpty;
    for (const button of [this.#copyButton, this.#saveButton, this.#clearButton]) button.disabled = isEmpty;
    this.#search.changed();
  }

  #drawDetails() {
    const { showDetails } = this.#parts.preferences;
    byId('details').setAttribute('aria-pressed', String(showDetails));
    byId('transcript').toggleAttribute('data-details', showDetails);
  }

  async #copy() {
    const { transcript, notices, announce } = this.#parts;
    try {
      await navigator.clipboard.writeText(transcript.text);
      notices.resolve('copy');
      this.#copyButton.dataset.done = 'true';
      announce('Transcript copied.');
      setTimeout(() => delete this.#copyButton.dataset.done, COPIED_FOR_MS);
    } catch {
      notices.show('copy', {
        level: 'warning',
        text: 'This browser does not allow the page to copy. Select the text and copy it by hand.',
      });
    }
  }

  /** @param {Format} format */
  async #save(format) {
    const { transcript, notices, announce } = this.#parts;
    const { mimeType, write } = FORMATS[format];
    const name = fileName(format, new Date());
    this.#menu.hidePopover();
    try {
      const content = write ? write(transcript.entries) : await writeSubtitles(/** @type {'srt' | 'vtt'} */ (format), subtitleSegments(transcript.entries));
      download(name, new Blob([content], { type: `${mimeType};charset=utf-8` }));
      notices.resolve('save');
      announce(`Transcript saved as ${name}.`);
    } catch (error) {
      notices.show('save', subtitlesFailedMessage(/** @type {ApiError} */ (error)));
    }
  }

  /** Place the menu below its button, inside the window. */
  #placeMenu() {
    const button = this.#saveButton.getBoundingClientRect();
    const { offsetWidth, style } = this.#menu;
    style.top = `${button.bottom + MENU_GAP_PX}px`;
    style.left = `${Math.max(MENU_GAP_PX, Math.min(button.right, innerWidth - MENU_GAP_PX) - offsetWidth)}px`;
  }
}
