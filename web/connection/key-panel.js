/**
 * The form for the key: it asks where the server does, and puts a key aside again.
 * It must not judge keys, keep one, or show one that was entered before.
 */

/** @import { Keys } from './key-store.js' */

const WORDS = {
  missing: 'This server asks for a key. Who runs it can give you one.',
  wrong: 'The server did not accept this key. It is wrong, or was revoked.',
  inUse: 'A key is in use. Another one takes its place.',
};

const REMEMBERED = { tab: 'It is kept until this tab is closed.', device: 'It is remembered on this device.' };

/**
 * @typedef {object} KeyPanelActions
 * @property {() => void} onChange there is another key now, or none
 */

export class KeyPanel {
  #dialog;
  #keys;
  #onChange;
  #button;
  #input;
  #show;
  #remember;
  #words;
  #forget;

  /**
   * @param {HTMLDialogElement} dialog
   * @param {HTMLElement} button that opens it, shown where there is a key
   * @param {Keys} keys
   * @param {KeyPanelActions} actions
   */
  constructor(dialog, button, keys, { onChange }) {
    const find = (/** @type {string} */ part) => /** @type {HTMLElement} */ (dialog.querySelector(`[data-part=${part}]`));
    this.#dialog = dialog;
    this.#button = button;
    this.#keys = keys;
    this.#onChange = onChange;
    this.#input = /** @type {HTMLInputElement} */ (find('key'));
    this.#show = /** @type {HTMLInputElement} */ (find('show'));
    this.#remember = /** @type {HTMLInputElement} */ (find('remember'));
    this.#words = find('words');
    this.#forget = /** @type {HTMLButtonElement} */ (find('forget'));
    this.#show.addEventListener('change', () => {
      this.#input.type = this.#show.checked ? 'text' : 'password';
    });
    this.#forget.addEventListener('click', () => {
      this.#keys.forget();
      this.#changed();
    });
    /** @type {HTMLFormElement} */ (dialog.querySelector('form')).addEventListener('submit', (event) => {
      event.preventDefault();
      this.#use(this.#input.value.trim());
    });
    dialog.addEventListener('close', () => this.#empty());
    button.addEventListener('click', () => this.open());
    this.#drawButton();
  }

  /** Ask for a key, or for another one than that which was shown. */
  open() {
    this.#say(this.#keys.current ? 'inUse' : 'missing');
  }

  /** The server wants a key that it has not got. */
  ask() {
    this.#say(this.#keys.current ? 'wrong' : 'missing');
    this.#drawButton();
  }

  /** @param {keyof typeof WORDS} what */
  #say(what) {
    const where = this.#keys.isRemembered ? REMEMBERED.device : REMEMBERED.tab;
    this.#words.textContent = what === 'inUse' ? `${WORDS.inUse} ${where}` : WORDS[what];
    this.#words.dataset.tone = what === 'wrong' ? 'bad' : '';
    this.#input.toggleAttribute('aria-invalid', false);
    if (what === 'wrong') this.#input.setAttribute('aria-invalid', 'true');
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

  #empty() {
    this.#input.value = '';
    this.#input.type = 'password';
    this.#show.checked = false;
  }

  #drawButton() {
    this.#button.hidden = !this.#keys.current;
  }
}
