/**
 * Texts about the transcript: what is kept of it, and why a block has no final text.
 * It holds no state and does not touch the DOM.
 */

import { sentence } from '../shared/messages.js';

/** @import { Message } from '../shared/messages.js' */
/** @import { LossReason } from './entries.js' */

/** @type {Record<LossReason, string>} why a block has no final text */
const LOSSES = {
  '': 'no final text',
  failed: 'the engine failed: no final text',
  repetition: 'withheld: the engine repeated itself',
  disconnected: 'connection lost: no final text',
  closed: 'page closed: no final text',
  unknown: 'no final text',
};

/**
 * @param {LossReason} loss
 * @returns {string} a note beside a block
 */
export const lossNote = (loss) => LOSSES[loss];

/** @returns {Message} */
export const clearedMessage = () => ({ level: 'info', text: 'The transcript is cleared.', action: 'Undo' });

/** @returns {Message} */
export const notKeptMessage = () => ({
  level: 'warning',
  text: 'This browser has no room left, so it no longer keeps the transcript. Save it before you close the page.',
});

/** @returns {Message} */
export const lateTranscriptMessage = () => ({
  level: 'warning',
  text: 'This browser has not opened its storage yet. Your earlier transcript appears as soon as it does; until then, new words are not kept.',
});

/** @returns {Message} */
export const transcriptInUseMessage = () => ({
  level: 'info',
  text: 'Your earlier transcript is open in another tab, so this one begins with an empty page.',
});

const TOO_LARGE = 413;

/**
 * @param {{status: number, message: string}} error of the request
 * @returns {Message}
 */
export function subtitlesFailedMessage({ status, message }) {
  const reason = status === TOO_LARGE ? 'This transcript is too long for it.' : sentence(message);
  return { level: 'error', text: `Subtitles are written by the server. ${reason} You can still save the transcript as text or data.` };
}
