/**
 * The audio panel: microphone, audio processing, hold mode, and the other audio sources.
 * It opens no source; it reports the user's choices.
 */

import { savePreferences } from '../shared/preferences.js';
import { listMicrophones } from './microphone.js';
import { canShare } from './sources.js';

/** @import { Preferences } from '../shared/preferences.js' */

/** @type {('echoCancellation' | 'noiseSuppression' | 'autoGainControl')[]} */
const PROCESSING = ['echoCancellation', 'noiseSuppression', 'autoGainControl'];

/**
 * @typedef {object} AudioPanelParts
 * @property {Preferences} preferences changed in place
 * @property {() => void} onMicrophone the microphone or its processing changed
 * @property {() => void} onHold
 * @property {() => void} onShare
 * @property {(files: File[]) => void} onFiles
 */

export class AudioPanel {
  #dialog;
  #device;
  #parts;

  /**
   * @param {HTMLDialogElement} dialog
   * @param {AudioPanelParts} parts
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
    for (const name of PROCESSING) this.#connectSwitch(find(name), name, parts.onMicrophone);
    this.#connectSwitch(find('holdToTalk'), 'holdToTalk', parts.onHold);
    this.#connectSwitch(find('separateChannels'), 'separateChannels', () => {});
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
      const chosen = [...(file.files ?? [])];
      if (chosen.length > 0) parts.onFiles(chosen);
      file.value = ''; // otherwise choosing the same file again is no change
    });
    navigator.mediaDevices?.addEventListener('devicechange', () => void this.refresh());
  }

  open() {
    void this.refresh();
    this.#dialog.showModal();
  }

  /** Update the list of microphones. Browsers give their names once the page has the permission. */
  async refresh() {
    const microphones = await listMicrophones().catch(() => []);
    const { deviceId } = this.#parts.preferences;
    const options = [new Option('System default', ''), ...microphones.map((each) => new Option(each.label, each.deviceId))];
    const isConnected = microphones.some((each) => each.deviceId === deviceId);
    if (deviceId && !isConnected) options.push(new Option('Your microphone (not connected)', deviceId));
    this.#device.replaceChildren(...options);
    this.#device.value = deviceId;
  }

  /**
   * @param {HTMLElement} element
   * @param {'echoCancellation' | 'noiseSuppression' | 'autoGainControl' | 'holdToTalk' | 'separateChannels'} name
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
