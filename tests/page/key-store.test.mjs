import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';

import { authorizeWith, changeConfig, fetchConfig, mayOnlyTalk } from '../../web/connection/http-api.js';
import { Keys } from '../../web/connection/key-store.js';

/** What a browser keeps, of a tab or of a device. */
class FakeStorage {
  kept = new Map();
  getItem = (name) => this.kept.get(name) ?? null;
  setItem = (name, value) => this.kept.set(name, value);
  removeItem = (name) => this.kept.delete(name);
}

let tab;
let device;
const keys = () => new Keys({ tab: () => tab, device: () => device });

beforeEach(() => {
  [tab, device] = [new FakeStorage(), new FakeStorage()];
});

test('a key lasts as long as its tab, unless the device is to remember it', () => {
  keys().use('k1', false);
  assert.deepEqual([tab.kept.size, device.kept.size], [1, 0]);
  assert.deepEqual([keys().current, keys().isRemembered], ['k1', false]);
  keys().use('k2', true);
  assert.deepEqual([tab.kept.size, device.kept.size], [0, 1]);
  tab = new FakeStorage();
  assert.deepEqual([keys().current, keys().isRemembered], ['k2', true]);
});

test('a key that is forgotten is nowhere', () => {
  keys().use('k1', true);
  const held = keys();
  held.forget();
  assert.deepEqual([held.current, held.isRemembered, keys().current, device.kept.size], ['', false, '', 0]);
});

test('a browser that forbids storage has a key for as long as the page is open', () => {
  const forbidden = () => {
    throw new Error('denied');
  };
  const held = new Keys({ tab: forbidden, device: forbidden });
  held.use('k1', true);
  assert.equal(held.current, 'k1');
  held.forget();
  assert.equal(held.current, '');
});

/** Answers every request; returns what was asked. */
function answering(status, body = {}) {
  const asked = [];
  globalThis.document = { baseURI: 'https://stt.example.org/stt/' };
  globalThis.fetch = async (url, init) => {
    asked.push({ url: String(url), key: init.headers.get('Authorization') });
    return new Response(JSON.stringify(body), { status });
  };
  return asked;
}

test('requests show the key in their header, and never in the URL', async () => {
  authorizeWith(() => 'tstt_1');
  const asked = answering(200);
  await fetchConfig();
  await changeConfig({ max_sessions: 3 });
  assert.deepEqual(asked.map(({ key }) => key), ['Bearer tstt_1', 'Bearer tstt_1']);
  assert.ok(asked.every(({ url }) => !url.includes('tstt_1')));
  authorizeWith(() => '');
  const without = answering(200);
  await fetchConfig();
  assert.equal(without[0].key, null);
});

test('what a key may not do is said as such; without one, the words are the server’s', async () => {
  authorizeWith(() => 'tstt_1');
  answering(403, { detail: 'the scope of this key is talk; here it must be admin' });
  await assert.rejects(changeConfig({}), { status: 403, message: /admin key/ });
  assert.equal(await mayOnlyTalk(), true);
  answering(200);
  assert.equal(await mayOnlyTalk(), false);
  authorizeWith(() => '');
  answering(403, { detail: 'settings change only from the server’s own machine' });
  await assert.rejects(changeConfig({}), { message: /own machine/ });
  assert.equal(await mayOnlyTalk(), false);
  answering(401, { detail: 'a key is needed' });
  await assert.rejects(fetchConfig(), { status: 401, message: /asks for a key/ });
});
