/**
 * The form for the API key: opens when the server requires one, and can forget it.
 * It does not validate or store keys, and never shows one entered before.
 */

/** @import { KeyStore } from './key-store.js' */

const TEXTS = {
  missing: 'This server requires a key. Its operator can give you one.',
  wrong: 'The server did not accept this key. It is wrong or was revoked.',
  inUse: 'A key is in use. A new one replaces it.',
};

const STORED = { tab: 'It is kept until this tab is closed.', device: 'It is remembered on this device.' };

/**
 * @typedef {object} KeyPanelActions
 * @property {() => void} onChange the key was replaced or forgotten
 */

export class KeyPanel {
  #dialog;
  #keys;
  #onChange;
  #button;
  #input;
  #reveal;
  #remember;
  #text;
  #forget;

  /**
   * @param {HTMLDialogElement} dialog
   * @param {HTMLElement} button opens the form; shown while a key is in use
   * @param {KeyStore} keys
   * @param {KeyPanelActions} actions
   */
  constructor(dialog, button, keys, { onChange }) {
    const find = (/** @type {string} */ part) => /** @type {HTMLElement} */ (dialog.querySelector(`[data-part=${part}]`));
    this.#dialog = dialog;
    this.#button = button;
    this.#keys = keys;
    this.#onChange = onChange;
    this.#input = /** @type {HTMLInputElement} */ (find('key'));
    this.#reveal = /** @type {HTMLInputElement} */ (find('reveal'));
    this.#remember = /** @type {HTMLInputElement} */ (find('remember'));
    this.#text = find('text');
    this.#forget = /** @type {HTMLButtonElement} */ (find('forget'));
    this.#reveal.addEventListener('change', () => {
      this.#input.type = this.#reveal.checked ? 'text' : 'password';
    });
    this.#forget.addEventListener('click', () => {
      this.#keys.forget();
      this.#changed();
    });
    /** @type {HTMLFormElement} */ (dialog.querySelector('form')).addEventListener('submit', (event) => {
      event.preventDefault();
      this.#use(this.#input.value.trim());
    });
    dialog.addEventListener('close', () => this.#clearForm());
    button.addEventListener('click', () => this.open());
    this.#drawButton();
  }

  /** Open the form at the user's request. */
  open() {
    this.#show(this.#keys.current ? 'inUse' : 'missing');
  }

  /** Open the form because the server requires a key, or did not accept the one in use. */
  keyRequired() {
    this.#show(this.#keys.current ? 'wrong' : 'missing');
    this.#drawButton();
  }

  /** @param {keyof typeof TEXTS} text */
  #show(text) {
    const where = this.#keys.isRemembered ? STORED.device : STORED.tab;
    this.#text.textContent = text === 'inUse' ? `${TEXTS.inUse} ${where}` : TEXTS[text];
    this.#text.dataset.tone = text === 'wrong' ? 'bad' : '';
    this.#input.toggleAttribute('aria-invalid', false);
    if (text === 'wrong') this.#input.setAttribute('aria-invalid', 'true');
    this.#forget.hidden = !this.#keys.current;
    this.#remember.checked = this.#keys.isRemembered;
    if (!this.#dialog.open) this.#dialog.showModal();
    this.#input.focus();
  }

  /** @param {string} key */
  #use(key) {
    if (!key) {
      this.#input.focus();
      return;
    }
    this.#keys.use(key, this.#remember.checked);
    this.#changed();
  }

  #changed() {
    this.#dialog.close();
    this.#drawButton();
    this.#onChange();
  }

  #clearForm() {
    this.#input.value = '';
    this.#input.type = 'password';
    this.#reveal.checked = false;
  }

  #drawButton() {
    this.#button.hidden = !this.#keys.current;
  }
}
