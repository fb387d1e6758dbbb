/**
 * Sends one file to the server's upload route and reads the texts of its utterances as they come, many times faster than real time.
 * It holds no queue and does not touch the DOM.
 */

/** @import { Piece } from '../connection/protocol.js' */

/**
 * @typedef {object} SpokenText one utterance, in seconds from the start of the file
 * @property {string} text
 * @property {number} startS
 * @property {number} endS
 * @property {Piece[]} [pieces] its words with their times, where the engine gives them
 * @property {number} [channel] from 1, where each channel is transcribed on its own
 *
 * @typedef {object} UploadHandlers
 * @property {(part: number) => void} onSent part of the file that is sent, 0 to 1
 * @property {(message: string) => void} onWarning a part could not be read or transcribed
 * @property {(spoken: SpokenText, lengthS: number | null) => void} onText `lengthS`: of the file, as it states itself
 */

/** Why a file gives no text. The message is the server's; `status` is that of HTTP, or 0 without an answer. */
export class UploadError extends Error {
  /**
   * @param {string} message
   * @param {number} status
   */
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

/** Reads server-sent events from a text that grows. */
export class EventReader {
  #read = 0;

  /**
   * @param {string} text all that was received so far
   * @returns {Record<string, any>[]} the events that are complete now and were not before
   */
  next(text) {
    const end = text.lastIndexOf('\n\n') + 2;
    if (end <= this.#read) return [];
    const lines = text.slice(this.#read, end).split('\n');
    this.#read = end;
    return lines.filter((line) => line.startsWith('data: {')).map((line) => JSON.parse(line.slice('data: '.length)));
  }
}

/**
 * @param {string} message the server's, which begins with the field of the form at fault
 * @returns {string} a sentence for people
 */
function readable(message) {
  const text = message.replace(/^file: /, '').trim();
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}${/[.!?]$/.test(text) ? '' : '.'}`;
}

/**
 * @param {string} text body of an answer
 * @param {number} status
 */
function errorOf(text, status) {
  try {
    return new UploadError(readable(JSON.parse(text).error.message), status);
  } catch {
    return new UploadError(status ? `The server responded with status ${status}.` : 'The connection to the server was lost.', status);
  }
}

/**
 * @param {File} file
 * @param {string} key the API key, or ''
 * @param {boolean} isSeparate whether each channel is transcribed on its own, as a speaker
 * @param {UploadHandlers} handlers
 * @param {AbortSignal} signal
 * @returns {Promise<void>} resolves after the last text
 * @throws {UploadError}
 */
export function upload(file, key, isSeparate, { onSent, onText, onWarning }, signal) {
  const form = new FormData();
  form.append('model', 'whisper-1'); // OpenAI's API requires a name; the loaded model answers
  form.append('response_format', 'verbose_json');
  form.append('stream', 'true');
  if (isSeparate) form.append('channels', 'separate');
  form.append('file', file); // last, so that the server has read the other fields
  const request = new XMLHttpRequest(); // fetch does not tell how much it has sent
  const events = new EventReader();
  return new Promise((resolve, reject) => {
    const read = () => {
      if (request.status !== 200) return;
      for (const event of events.next(request.responseText)) {
        if (event.error) reject(new UploadError(readable(event.error.message), 200));
        else if (event.type === 'transcript.text.delta') {
          const { delta, start = 0, end = 0, pieces, channel, duration = null } = event;
          onText({ text: delta.trim(), startS: start, endS: end, ...(pieces?.length && { pieces }), ...(channel && { channel }) }, duration);
        } else if (event.type === 'transcript.text.done') {
          (event.warnings ?? []).forEach((/** @type {string} */ message) => onWarning(readable(message)));
        }
      }
    };
    request.upload.onprogress = ({ loaded, total }) => onSent(total > 0 ? loaded / total : 0);
    request.onprogress = read;
    request.onload = () => {
      read();
      if (request.status === 200) resolve();
      else reject(errorOf(request.responseText, request.status));
    };
    request.onerror = () => reject(errorOf('', 0));
    signal.addEventListener('abort', () => {
      request.abort();
      resolve();
    });
    request.open('POST', new URL('v1/audio/transcriptions', document.baseURI));
    if (key) request.setRequestHeader('Authorization', `Bearer ${key}`);
    request.send(form);
  });
}
