import assert from 'node:assert/strict';
import { test } from 'node:test';

import { ScreenWakeLock } from '../../web/audio/screen-wake-lock.js';

/** Let pending promises settle. */
const settled = () => new Promise((resolve) => setImmediate(resolve));

function browser() {
  const held = new Set();
  return {
    held,
    request: async () => {
      const lock = { release: async () => void held.delete(lock) };
      held.add(lock);
      return lock;
    },
  };
}

test('the lock is held exactly while it is wanted', async () => {
  const { held, request } = browser();
  const wakeLock = new ScreenWakeLock(request);
  wakeLock.keep(false);
  wakeLock.keep(true);
  wakeLock.keep(true);
  await settled();
  assert.equal(held.size, 1);
  wakeLock.keep(false);
  await settled();
  assert.equal(held.size, 0);
});

test('a lock that is granted too late is released', async () => {
  const { held, request } = browser();
  const wakeLock = new ScreenWakeLock(request);
  wakeLock.keep(true);
  wakeLock.keep(false);
  await settled();
  assert.equal(held.size, 0);
});

test('a page that is visible again takes its lock again', async () => {
  const { held, request } = browser();
  const wakeLock = new ScreenWakeLock(request);
  await wakeLock.renew();
  assert.equal(held.size, 0);
  wakeLock.keep(true);
  await settled();
  held.clear(); // as browsers do when the page is hidden
  await wakeLock.renew();
  assert.equal(held.size, 1);
});

test('refusals and browsers without wake locks are no errors', async () => {
  for (const request of [() => Promise.reject(new Error('battery is low')), () => undefined]) {
    const wakeLock = new ScreenWakeLock(request);
    wakeLock.keep(true);
    await settled();
    wakeLock.keep(false);
  }
  await settled();
});
