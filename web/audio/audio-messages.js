/**
 * Every text about the audio source: its problems, and changes that the user must know of.
 * It holds no state and does not touch the DOM.
 */

/** @import { AudioProblem } from './capture.js' */
/** @import { Message } from '../shared/messages.js' */

/** @type {Record<AudioProblem, string>} */
const PROBLEMS = {
  insecure:
    'Browsers allow the microphone on secure pages only. Open this page over https, or as localhost on the server itself.',
  unsupported: 'This browser cannot stream a microphone. Use a current version of Chrome, Edge, Firefox or Safari.',
  no_worklet:
    'This browser lacks AudioWorklet, which the page needs to capture audio. Use a current version of Chrome, Edge, Firefox or Safari.',
  not_started:
    'The browser did not start its audio. Press Talk again. If that does not help, connect headphones or speakers: some browsers need an output device.',
  denied: 'The microphone is blocked for this page. Allow it next to the address bar, then press Talk again.',
  missing: 'No microphone was found. Connect one, then press Talk again.',
  busy: 'The microphone does not respond. Another program may be using it.',
  failed: 'The audio source could not be opened. Press Talk to try again.',
  share_denied: 'Nothing was shared. Choose a tab or a screen to transcribe its audio.',
  share_failed: 'This audio could not be shared. Choose a browser tab: its audio can be shared on every system.',
  share_silent: 'What you chose shares no audio. Choose a browser tab, and switch on its audio in the same dialog.',
  file_large: 'This file is larger than 300 MB. Split it, or use the command line: trio-stt transcribe.',
  file_unreadable: 'This file could not be read as audio. WAV, MP3, M4A, OGG, FLAC and WebM usually work.',
};

/**
 * @param {AudioProblem} code
 * @returns {Message}
 */
export const audioMessage = (code) => ({ level: 'error', text: PROBLEMS[code] });

/** @returns {Message} */
export const permissionReason = () => ({
  level: 'info',
  text: 'Your browser asks for the microphone. Its audio goes only to this server, which transcribes it.',
});

/** @returns {Message} */
export const microphoneLost = () => ({
  level: 'error',
  text: 'The microphone was disconnected. The transcript until then is kept. Press Talk to go on.',
});

/**
 * @param {string} label of the microphone that replaces it
 * @returns {Message}
 */
export const microphoneReplaced = (label) => ({
  level: 'warning',
  text: `The microphone was disconnected. The page now uses ${label || 'another one'}.`,
});

/**
 * @param {string} name of a folder
 * @returns {Message}
 */
export const folderDropped = (name) => ({ level: 'warning', text: `“${name}” is a folder. Open it and drop the files in it.` });

/** @returns {Message} */
export const microphoneMuted = () => ({
  level: 'warning',
  text: 'The microphone is silent: it is muted by its own switch or by the system.',
});

/** @returns {Message} */
export const sharingEnded = () => ({ level: 'info', text: 'Sharing has ended. The transcript until then is kept.' });
