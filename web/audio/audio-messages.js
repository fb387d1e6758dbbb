/**
 * Every sentence that people read about where the sound comes from, and why it does not.
 * It must not keep state or touch the DOM.
 */

/** @import { AudioProblem } from './capture.js' */
/** @import { Message } from '../shared/messages.js' */

/** @type {Record<AudioProblem, string>} */
const PROBLEMS = {
  insecure:
    'Browsers give the microphone to secure pages only. Open this page over https, or as localhost on the machine itself.',
  unsupported: 'This browser cannot stream a microphone. A current Chrome, Edge, Firefox or Safari can.',
  no_worklet: 'This browser lacks AudioWorklet, which sound is captured with. A current Chrome, Edge, Firefox or Safari has it.',
  denied: 'The microphone is blocked for this page. Allow it beside the address bar, then press Talk again.',
  missing: 'No microphone was found. Connect one, then press Talk again.',
  busy: 'The microphone is there but does not answer. Another program may be using it.',
  failed: 'The sound could not be opened. Press Talk to try again.',
  share_denied: 'Nothing was shared. Choose a tab or a screen to have its sound written down.',
  share_failed: 'This sound could not be shared. Choose a browser tab: its sound can be shared on every system.',
  share_silent: 'What you chose shares no sound. Choose a browser tab, and switch on its sound in the same dialog.',
  file_large: 'This file is larger than 300 MB. Cut it into parts, or use the command line: trio-stt transcribe.',
  file_unreadable: 'This file could not be read as sound. WAV, MP3, M4A, OGG, FLAC and WebM usually work.',
};

/**
 * @param {AudioProblem} code
 * @returns {Message}
 */
export const soundMessage = (code) => ({ level: 'error', text: PROBLEMS[code] });

/** @returns {Message} */
export const permissionReason = () => ({
  level: 'info',
  text: 'Your browser asks for the microphone. Its sound goes to this server, to be written down, and nowhere else.',
});

/** @returns {Message} */
export const microphoneLost = () => ({
  level: 'error',
  text: 'The microphone was disconnected. What was said until then is kept; press Talk to go on.',
});

/**
 * @param {string} label of the microphone that took over
 * @returns {Message}
 */
export const microphoneReplaced = (label) => ({
  level: 'warning',
  text: `The microphone was disconnected. You are now heard through ${label || 'another one'}.`,
});

/** @returns {Message} */
export const microphoneMuted = () => ({
  level: 'warning',
  text: 'The microphone gives no sound: it is muted by its own switch or by the system.',
});

/** @returns {Message} */
export const sharingEnded = () => ({ level: 'info', text: 'Nothing is shared any more. What was said until then is kept.' });
