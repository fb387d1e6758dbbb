/**
 * Keeps the transcript in the browser, so that a reload or a closed tab loses no words. It uses IndexedDB, one record per entry.
 *
 * Each open page writes a transcript of its own. A page takes up the one of its tab, else the newest that no open page holds; a
 * Web Lock marks those in use. Nothing here fails loudly: where the browser forbids storage, `isKeeping` stays false.
 */

/** @import { Change, Entry } from './entries.js' */

const DATABASE = 'trio-stt';
const ENTRIES = 'entries';
const TRANSCRIPTS = 'transcripts';

/** Longest wait for the database. Some browsers never answer, and the page must start all the same; a busy machine is slow. */
const OPEN_TIMEOUT_MS = 5000;

/** Changes are collected for this long: live words change several times a second. */
const WRITE_EVERY_MS = 400;

/** Name of the tab's transcript in the session storage, which a reload keeps. */
const TAB = 'trio-stt.transcript';

/** @typedef {{transcript: string, key: string, order: number, entry: Entry}} StoredEntry `order`: place in the transcript; equal for blocks of one session that were inserted, which their ids order */
/** @typedef {{id: string, server: string, changedAt: number}} StoredTranscript */

/**
 * @template T
 * @param {IDBRequest<T>} request
 * @returns {Promise<T>}
 */
const resultOf = (request) =>
  new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });

/** The database did not answer in time; whatever it has, it still has. */
class DatabaseTimeout extends Error {}

/**
 * @returns {Promise<IDBDatabase>}
 * @throws {DatabaseTimeout}
 */
function openDatabase() {
  const request = indexedDB.open(DATABASE, 1);
  request.onupgradeneeded = () => {
    request.result.createObjectStore(ENTRIES, { keyPath: ['transcript', 'key'] });
    request.result.createObjectStore(TRANSCRIPTS, { keyPath: 'id' });
  };
  const timeout = new Promise((_, reject) => setTimeout(reject, OPEN_TIMEOUT_MS, new DatabaseTimeout()));
  return /** @type {Promise<IDBDatabase>} */ (Promise.race([resultOf(request), timeout]));
}

/** @param {string} transcript */
const keysOf = (transcript) => IDBKeyRange.bound([transcript], [transcript, []]);

/** How long the page before a reload may take to give up its transcript; and any other page that was closed. */
const RELOAD_WAIT_MS = 5000;
const CLOSED_WAIT_MS = 200;

/**
 * Hold a transcript until the page is closed: the page after a reload must not wait until this one is removed from memory.
 *
 * @param {string} id
 * @param {number} waitMs for a page that is just being closed
 * @returns {Promise<boolean>} false if another page holds it
 */
function hold(id, waitMs) {
  if (!navigator.locks) return Promise.resolve(true); // not on pages without https; then two tabs may share one
  return new Promise((resolve) => {
    const answer = navigator.locks.request(`${DATABASE}.${id}`, { signal: AbortSignal.timeout(waitMs) }, () => {
      resolve(true);
      // A page that the browser keeps (`persisted`) may be shown again, and holds its transcript meanwhile.
      return new Promise((release) => addEventListener('pagehide', ({ persisted }) => persisted || release(null)));
    });
    answer.catch((error) => resolve(error.name !== 'TimeoutError'));
  });
}

/** @returns {string} the id of the tab's transcript, or '' */
function tabTranscript() {
  try {
    return sessionStorage.getItem(TAB) ?? '';
  } catch {
    return '';
  }
}

/** @param {string} id */
function rememberInTab(id) {
  try {
    sessionStorage.setItem(TAB, id);
  } catch {
    // Without it, a reload takes the newest transcript that no page holds.
  }
}

export class TranscriptStore {
  /** @type {IDBDatabase | null} null where nothing is kept */
  #database = null;
  #id = '';
  /** @type {Map<string, StoredEntry | null>} changes that are not written yet, by key; null: removed */
  #pending = new Map();
  /** @type {Map<string, number>} */
  #orders = new Map();
  #lastOrder = 0;
  #isCleared = false;
  #isEnabled;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  #server;
  #onFailure;
  #onTimeout;

  /**
   * @param {object} options
   * @param {string} options.server base URL of the page: each server has transcripts of its own
   * @param {boolean} options.isEnabled the user's choice
   * @param {() => void} options.onFailure words can no longer be kept, such as on a full disk
   * @param {() => void} options.onTimeout the transcript of before did not come in time; this page keeps nothing
   */
  constructor({ server, isEnabled, onFailure, onTimeout }) {
    this.#server = server;
    this.#isEnabled = isEnabled;
    this.#onFailure = onFailure;
    this.#onTimeout = onTimeout;
    // The last moment at which a page may write; a phone ends a hidden page without telling it.
    addEventListener('pagehide', () => this.#write());
    addEventListener('beforeunload', () => this.#write()); // earlier, so that the page after a reload surely finds the words
    document.addEventListener('visibilitychange', () => document.hidden && this.#write());
  }

  /** Whether the words on the page are kept. */
  get isKeeping() {
    return this.#isEnabled && this.#database !== null;
  }

  /**
   * Open the store. Call it once, before the first change.
   *
   * @returns {Promise<Entry[]>} the transcript of before, oldest first
   */
  async open() {
    try {
      const database = await openDatabase();
      this.#id = await this.#choose(database);
      rememberInTab(this.#id);
      this.#database = database;
      return this.#isEnabled ? await this.#read(database) : [];
    } catch (error) {
      this.#database = null;
      if (this.#isEnabled && error instanceof DatabaseTimeout) this.#onTimeout();
      return [];
    }
  }

  /** @param {Change} change */
  apply(change) {
    if (change.type === 'put') {
      const order = this.#orders.get(change.entry.key) ?? this.#orders.get(change.beforeKey ?? '') ?? (this.#lastOrder += 1);
      this.#orders.set(change.entry.key, order);
      this.#pending.set(change.entry.key, { transcript: this.#id, key: change.entry.key, order, entry: change.entry });
    } else if (change.type === 'remove') {
      this.#orders.delete(change.key);
      this.#pending.set(change.key, null);
    } else {
      this.#orders.clear();
      this.#pending.clear();
      this.#isCleared = true;
    }
    this.#timer ??= setTimeout(() => this.#write(), WRITE_EVERY_MS);
  }

  /**
   * @param {boolean} isEnabled false also removes what is kept
   * @param {Entry[]} entries the transcript now, oldest first
   */
  enable(isEnabled, entries) {
    this.#isEnabled = true; // so that the removal is written
    this.apply({ type: 'reset' });
    if (isEnabled) entries.forEach((entry) => this.apply({ type: 'put', entry, beforeKey: null }));
    this.#write();
    this.#isEnabled = isEnabled;
  }

  /** @param {IDBDatabase} database */
  async #choose(database) {
    /** @type {StoredTranscript[]} */
    const all = await resultOf(database.transaction(TRANSCRIPTS).objectStore(TRANSCRIPTS).getAll());
    const ours = all.filter(({ server }) => server === this.#server).sort((a, b) => b.changedAt - a.changedAt);
    const tab = tabTranscript();
    for (const id of new Set([tab, ...ours.map((each) => each.id)])) {
      if (ours.some((each) => each.id === id) && (await hold(id, id === tab ? RELOAD_WAIT_MS : CLOSED_WAIT_MS))) return id;
    }
    const id = `${Date.now().toString(36)}-${Math.random().toString(36).slice(2)}`;
    await hold(id, CLOSED_WAIT_MS);
    return id;
  }

  /** @param {IDBDatabase} database */
  async #read(database) {
    /** @type {StoredEntry[]} */
    const stored = await resultOf(database.transaction(ENTRIES).objectStore(ENTRIES).getAll(keysOf(this.#id)));
    const idOf = (/** @type {Entry} */ entry) => (entry.kind === 'block' ? entry.segmentId : 0);
    stored.sort((a, b) => a.order - b.order || idOf(a.entry) - idOf(b.entry));
    stored.forEach(({ key, order }) => this.#orders.set(key, order));
    this.#lastOrder = stored.at(-1)?.order ?? 0;
    return stored.map(({ entry }) => entry);
  }

  #write() {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (!this.isKeeping || (this.#pending.size === 0 && !this.#isCleared)) return;
    const [pending, isCleared] = [this.#pending, this.#isCleared];
    [this.#pending, this.#isCleared] = [new Map(), false];
    try {
      const transaction = /** @type {IDBDatabase} */ (this.#database).transaction([ENTRIES, TRANSCRIPTS], 'readwrite');
      transaction.onabort = () => this.#fail();
      const entries = transaction.objectStore(ENTRIES);
      if (isCleared) entries.delete(keysOf(this.#id));
      for (const [key, stored] of pending) {
        if (stored) entries.put(stored);
        else entries.delete([this.#id, key]);
      }
      const transcripts = transaction.objectStore(TRANSCRIPTS);
      if (this.#orders.size > 0) transcripts.put({ id: this.#id, server: this.#server, changedAt: Date.now() });
      else transcripts.delete(this.#id);
      transaction.commit();
    } catch {
      this.#fail();
    }
  }

  #fail() {
    this.#database = null;
    this.#onFailure();
  }
}
