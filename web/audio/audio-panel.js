/**
 * The panel of sound: which microphone, how it is treated, whether talking is held, and what else may be heard.
 * It must not open anything itself: it says what people chose.
 */

import { listMicrophones } from './microphone.js';
import { savePreferences } from './preferences.js';
import { canShare } from './sources.js';

/** @import { Preferences } from './preferences.js' */

/** @type {('echoCancellation' | 'noiseSuppression' | 'autoGainControl')[]} */
const TREATMENTS = ['echoCancellation', 'noiseSuppression', 'autoGainControl'];

/**
 * @typedef {object} SoundPanelParts
 * @property {Preferences} preferences changed in place
 * @property {() => void} onMicrophone another choice or treatment of the microphone
 * @property {() => void} onHold
 * @property {() => void} onShare
 * @property {(file: File) => void} onFile
 */

export class SoundPanel {
  #dialog;
  #device;
  #parts;

  /**
   * @param {HTMLDialogElement} dialog
   * @param {SoundPanelParts} parts
   */
  constructor(dialog, parts) {
    const find = (/** @type {string} */ name) => /** @type {HTMLElement} */ (dialog.querySelector(`[name=${name}]`));
    this.#dialog = dialog;
    this.#parts = parts;
    this.#device = /** @type {HTMLSelectElement} */ (find('deviceId'));
    this.#device.addEventListener('change', () => {
      parts.preferences.deviceId = this.#device.value;
      this.#changed(parts.onMicrophone);
    });
    for (const name of TREATMENTS) this.#connectSwitch(find(name), name, parts.onMicrophone);
    this.#connectSwitch(find('holdToTalk'), 'holdToTalk', parts.onHold);
    const share = find('share');
    share.hidden = !canShare();
    share.addEventListener('click', () => {
      dialog.close();
      parts.onShare();
    });
    const file = /** @type {HTMLInputElement} */ (find('file'));
    find('browse').addEventListener('click', () => file.click());
    file.addEventListener('change', () => {
      dialog.close();
      const [chosen] = file.files ?? [];
      if (chosen) parts.onFile(chosen);
      file.value = ''; // so that the same file can be chosen again
    });
    navigator.mediaDevices?.addEventListener('devicechange', () => void this.refresh());
  }

  open() {
    void this.refresh();
    this.#dialog.showModal();
  }

  /** List the microphones anew; their names are known once one was allowed. */
  async refresh() {
    const microphones = await listMicrophones().catch(() => []);
    const { deviceId } = this.#parts.preferences;
    const options = [new Option('The system’s choice', ''), ...microphones.map((each) => new Option(each.label, each.deviceId))];
    const isThere = microphones.some((each) => each.deviceId === deviceId);
    if (deviceId && !isThere) options.push(new Option('Your choice, not connected', deviceId));
    this.#device.replaceChildren(...options);
    this.#device.value = deviceId;
  }

  /**
   * @param {HTMLElement} element
   * @param {'echoCancellation' | 'noiseSuppression' | 'autoGainControl' | 'holdToTalk'} name
   * @param {() => void} onChange
   */
  #connectSwitch(element, name, onChange) {
    const input = /** @type {HTMLInputElement} */ (element);
    const { preferences } = this.#parts;
    input.checked = preferences[name];
    input.addEventListener('change', () => {
      preferences[name] = input.checked;
      this.#changed(onChange);
    });
  }

  /** @param {() => void} onChange */
  #changed(onChange) {
    savePreferences(this.#parts.preferences);
    onChange();
  }
}
