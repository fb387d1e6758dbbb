/**
 * The files that wait to be transcribed, one after the other, and what is known about each. It does not touch the DOM.
 */

import { UploadError } from './upload.js';

/** @import { SpokenText, UploadHandlers } from './upload.js' */

/**
 * @typedef {object} FileState
 * @property {number} id
 * @property {string} name
 * @property {'waiting' | 'sending' | 'transcribing' | 'done' | 'failed'} phase
 * @property {number | null} progress 0 to 1; null while unknown
 * @property {string} message why it failed
 * @property {boolean} mayRetry whether the same file may succeed later
 *
 * @typedef {{add: (spoken: SpokenText) => void, remove: () => void}} FileText `remove`: the file is sent again
 *
 * @typedef {object} FileQueueParts
 * @property {(file: File, handlers: UploadHandlers, signal: AbortSignal) => Promise<void>} upload
 * @property {(files: FileState[]) => void} onChange
 * @property {(name: string) => FileText} onFile a file is transcribed: returns what takes its texts
 * @property {(file: File) => void} onUnsupported the server has no upload route
 * @property {(name: string) => void} onDone
 * @property {(name: string, message: string) => void} onWarning a part of the file could not be read or transcribed
 */

/** Room for the other fields of the form. */
const FORM_BYTES = 2000;

export class FileQueue {
  /** @type {(FileState & {file: File, abort: AbortController, incomplete?: FileText | null})[]} */
  #files = [];
  #nextId = 1;
  #isRunning = false;
  #parts;
  /** Largest file that the server takes. */
  maxBytes = Infinity;

  /** @param {FileQueueParts} parts */
  constructor(parts) {
    this.#parts = parts;
  }

  /** @param {Iterable<File>} files */
  add(files) {
    for (const file of files) {
      const state = { id: this.#nextId, name: file.name, phase: /** @type {const} */ ('waiting'), progress: null, message: '', mayRetry: false };
      this.#files.push({ ...state, file, abort: new AbortController() });
      this.#nextId += 1;
    }
    this.#changed();
    void this.#run();
  }

  /** Remove a file, in whatever phase it is. @param {number} id */
  remove(id) {
    this.#files.find((file) => file.id === id)?.abort.abort();
    this.#files = this.#files.filter((file) => file.id !== id);
    this.#changed();
  }

  /** Send a file again that failed. @param {number} id */
  retry(id) {
    this.#files.find((file) => file.id === id)?.incomplete?.remove();
    this.#update(id, { phase: 'waiting', progress: null, message: '', mayRetry: false, incomplete: null });
    void this.#run();
  }

  async #run() {
    if (this.#isRunning) return;
    this.#isRunning = true;
    for (let next = this.#next; next; next = this.#next) await this.#transcribe(next.id, next.file, next.abort.signal);
    this.#isRunning = false;
  }

  get #next() {
    return this.#files.find(({ phase }) => phase === 'waiting');
  }

  /**
   * @param {number} id
   * @param {File} file
   * @param {AbortSignal} signal
   */
  async #transcribe(id, file, signal) {
    if (file.size + FORM_BYTES > this.maxBytes) {
      this.remove(id);
      this.#parts.onUnsupported(file);
      return;
    }
    this.#update(id, { phase: 'sending', progress: 0 });
    /** @type {FileText | null} */
    let text = null;
    const handlers = {
      onSent: (/** @type {number} */ part) => this.#update(id, part < 1 ? { progress: part } : { phase: 'transcribing', progress: null }),
      onWarning: (/** @type {string} */ message) => this.#parts.onWarning(file.name, message),
      onText: (/** @type {SpokenText} */ spoken, /** @type {number | null} */ lengthS) => {
        text ??= this.#parts.onFile(file.name);
        text.add(spoken);
        this.#update(id, { phase: 'transcribing', progress: lengthS ? Math.min(1, spoken.endS / lengthS) : null });
      },
    };
    try {
      await this.#parts.upload(file, handlers, signal);
      if (signal.aborted) return;
      if (text) {
        this.remove(id);
        this.#parts.onDone(file.name);
      } else {
        this.#update(id, { phase: 'failed', message: 'No speech was found in this file.' });
      }
    } catch (error) {
      if (error instanceof UploadError && (error.status === 404 || error.status === 413)) {
        this.remove(id);
        this.#parts.onUnsupported(file);
      } else {
        const mayRetry = error instanceof UploadError && (error.status === 0 || error.status === 401 || error.status >= 429);
        this.#update(id, { phase: 'failed', progress: null, message: /** @type {Error} */ (error).message, mayRetry, incomplete: text });
      }
    }
  }

  /**
   * @param {number} id
   * @param {Partial<FileState & {incomplete: FileText | null}>} change
   */
  #update(id, change) {
    this.#files = this.#files.map((file) => (file.id === id ? { ...file, ...change } : file));
    this.#changed();
  }

  #changed() {
    this.#parts.onChange(this.#files.map(({ id, name, phase, progress, message, mayRetry }) => ({ id, name, phase, progress, message, mayRetry })));
  }
}
