import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';

import { authorizeWith, changeConfig, fetchConfig, hasTalkScopeOnly } from '../../web/connection/http-api.js';
import { KeyStore } from '../../web/connection/key-store.js';

/** The storage of a tab or of the device. */
class FakeStorage {
  kept = new Map();
  getItem = (name) => this.kept.get(name) ?? null;
  setItem = (name, value) => this.kept.set(name, value);
  removeItem = (name) => this.kept.delete(name);
}

let tab;
let device;
const keys = () => new KeyStore({ tab: () => tab, device: () => device });

beforeEach(() => {
  [tab, device] = [new FakeStorage(), new FakeStorage()];
});

test('a key lasts until the tab is closed, or on the device if remembered', () => {
  keys().use('k1', false);
  assert.deepEqual([tab.kept.size, device.kept.size], [1, 0]);
  assert.deepEqual([keys().current, keys().isRemembered], ['k1', false]);
  keys().use('k2', true);
  assert.deepEqual([tab.kept.size, device.kept.size], [0, 1]);
  tab = new FakeStorage();
  assert.deepEqual([keys().current, keys().isRemembered], ['k2', true]);
});

test('a forgotten key is removed everywhere', () => {
  keys().use('k1', true);
  const store = keys();
  store.forget();
  assert.deepEqual([store.current, store.isRemembered, keys().current, device.kept.size], ['', false, '', 0]);
});

test('without storage, a key lasts until the page is closed', () => {
  const forbidden = () => {
    throw new Error('denied');
  };
  const store = new KeyStore({ tab: forbidden, device: forbidden });
  store.use('k1', true);
  assert.equal(store.current, 'k1');
  store.forget();
  assert.equal(store.current, '');
});

/** Answers every request. Returns the list of requests. */
function answering(status, body = {}) {
  const requests = [];
  globalThis.document = { baseURI: 'https://stt.example.org/stt/' };
  globalThis.fetch = async (url, init) => {
    requests.push({ url: String(url), key: init.headers.get('Authorization') });
    return new Response(JSON.stringify(body), { status });
  };
  return requests;
}

test('requests send the key in a header, never in the URL', async () => {
  authorizeWith(() => 'tstt_1');
  const requests = answering(200);
  await fetchConfig();
  await changeConfig({ max_sessions: 3 });
  assert.deepEqual(requests.map(({ key }) => key), ['Bearer tstt_1', 'Bearer tstt_1']);
  assert.ok(requests.every(({ url }) => !url.includes('tstt_1')));
  authorizeWith(() => '');
  const without = answering(200);
  await fetchConfig();
  assert.equal(without[0].key, null);
});

test('a missing scope has its own message; without a key, the server’s message is shown', async () => {
  authorizeWith(() => 'tstt_1');
  answering(403, { detail: 'the scope of this key is talk; here it must be admin' });
  await assert.rejects(changeConfig({}), { status: 403, message: /admin key/ });
  assert.equal(await hasTalkScopeOnly(), true);
  answering(200);
  assert.equal(await hasTalkScopeOnly(), false);
  authorizeWith(() => '');
  answering(403, { detail: 'settings change only from the server’s own machine' });
  await assert.rejects(changeConfig({}), { message: /own machine/ });
  assert.equal(await hasTalkScopeOnly(), false);
  answering(401, { detail: 'a key is needed' });
  await assert.rejects(fetchConfig(), { status: 401, message: /requires a key/ });
});
