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

/** Longest wait for the database before the page starts without it. Some browsers never answer; a busy machine is slow. */
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

/** @returns {Promise<IDBDatabase>} it may take long, or never be answered */
function openDatabase() {
  const request = indexedDB.open(DATABASE, 1);
  request.onupgradeneeded = () => {
    request.result.createObjectStore(ENTRIES, { keyPath: ['transcript', 'key'] });
    request.result.createObjectStore(TRANSCRIPTS, { keyPath: 'id' });
  };
  return resultOf(request);
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
  if (!navigator.locks) return holdByAsking(id); // browsers have them on pages with https only
  return new Promise((resolve) => {
    const answer = navigator.locks.request(`${DATABASE}.${id}`, { signal: AbortSignal.timeout(waitMs) }, () => {
      resolve(true);
      // A page that the browser keeps (`persisted`) may be shown again, and holds its transcript meanwhile.
      return new Promise((release) => addEventListener('pagehide', ({ persisted }) => persisted || release(null)));
    });
    answer.catch((error) => resolve(error.name !== 'TimeoutError'));
  });
}

/**
 * The same without Web Locks: ask the other pages, and answer those that ask from then on.
 *
 * @param {string} id
 * @returns {Promise<boolean>} false if another page answers that it holds the transcript
 */
function holdByAsking(id) {
  const channel = new BroadcastChannel(`${DATABASE}.${id}`);
  return new Promise((resolve) => {
    const timer = setTimeout(() => {
      channel.onmessage = ({ data }) => data === 'ask' && channel.postMessage('held');
      resolve(true);
    }, CLOSED_WAIT_MS);
    channel.onmessage = ({ data }) => {
      if (data !== 'held') return;
      clearTimeout(timer);
      channel.close();
      resolve(false);
    };
    channel.postMessage('ask');
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
  #onWaiting;
  #onLate;
  #onInUse;

  /**
   * @param {object} options
   * @param {string} options.server base URL of the page: each server has transcripts of its own
   * @param {boolean} options.isEnabled the user's choice
   * @param {() => void} options.onFailure words can no longer be kept, such as on a full disk
   * @param {() => void} options.onWaiting the database has not answered yet, so the page starts without its transcript of before
   * @param {(entries: Entry[]) => void} options.onLate it has answered after all. The transcript of before, oldest first; the
   *   changes since then must be applied again behind it
   * @param {() => void} options.onInUse the transcript of this tab is held by another page, so a new one begins
   */
  constructor({ server, isEnabled, onFailure, onWaiting, onLate, onInUse }) {
    this.#onWaiting = onWaiting;
    this.#onLate = onLate;
    this.#onInUse = onInUse;
    this.#server = server;
    this.#isEnabled = isEnabled;
    this.#onFailure = onFailure;
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
      const opening = openDatabase();
      const timeout = new Promise((resolve) => setTimeout(resolve, OPEN_TIMEOUT_MS, null));
      const database = /** @type {IDBDatabase | null} */ (await Promise.race([opening, timeout]));
      if (database) return await this.#use(database);
      if (this.#isEnabled) this.#onWaiting();
      opening.then((late) => this.#useLate(late)).catch(() => {}); // without a database, the page goes on as it is
    } catch {
      this.#database = null;
    }
    return [];
  }

  /** @param {IDBDatabase} database @returns {Promise<Entry[]>} the transcript of before */
  async #use(database) {
    this.#id = await this.#choose(database);
    rememberInTab(this.#id);
    const entries = this.#isEnabled ? await this.#read(database) : [];
    this.#database = database; // last: nothing is written before what is stored was read
    return entries;
  }

  /** @param {IDBDatabase} database */
  async #useLate(database) {
    const entries = await this.#use(database);
    if (this.#isEnabled) this.#onLate(entries);
    else this.enable(false, []); // the user may have turned it off meanwhile
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
    if (ours.some((each) => each.id === tab)) this.#onInUse();
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
