/**
 * The settings of this browser: the first group of the settings panel. They take effect at once and are kept in the browser.
 */

import { savePreferences } from '../shared/preferences.js';

/** @import { Preferences } from '../shared/preferences.js' */

/** @typedef {'keepTranscript'} OwnSetting */

/**
 * @param {HTMLElement} area has a switch for each setting
 * @param {Preferences} preferences changed in place
 * @param {Record<OwnSetting, (isOn: boolean) => void>} effects of each setting
 */
export function connectOwnSettings(area, preferences, effects) {
  for (const input of /** @type {NodeListOf<HTMLInputElement>} */ (area.querySelectorAll('input[name]'))) {
    const name = /** @type {OwnSetting} */ (input.name);
    input.checked = preferences[name];
    input.addEventListener('change', () => {
      preferences[name] = input.checked;
      savePreferences(preferences);
      effects[name](input.checked);
    });
  }
}
