import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';

import { AudioError, captureStream } from '../../web/audio/capture.js';
import { fileSource } from '../../web/audio/sources.js';

const DEVICE_RATE_HZ = 44_100;

/** What the browser under test does; each test sets its own. */
let browser;

class FakeAudioContext extends EventTarget {
  state = 'running';
  audioWorklet = { addModule: async () => {} };
  constructor({ sampleRate = DEVICE_RATE_HZ }) {
    super();
    if (browser.refusesRate(sampleRate)) throw new DOMException('no such rate', 'NotSupportedError');
    this.sampleRate = sampleRate;
    browser.contexts.push(this);
  }
  createMediaStreamSource() {
    if (browser.refusesStream(this.sampleRate)) throw new DOMException('different sample-rate', 'NotSupportedError');
    return { connect: (node) => (browser.connected = node) };
  }
  async resume() {
    browser.resumes += 1;
  }
  async close() {
    this.state = 'closed';
  }
}

class FakeWorkletNode {
  port = { postMessage: () => this.port.onmessage({ data: { samples: new Float32Array(7), last: true } }) };
  constructor(context, _, { processorOptions }) {
    Object.assign(this, { context, packetSamples: processorOptions.packetSamples });
  }
}

class FakeTrack extends EventTarget {
  label = 'A microphone';
  isStopped = false;
  stop() {
    this.isStopped = true;
  }
}

function fakeStream() {
  const track = new FakeTrack();
  return { track, getTracks: () => [track], getAudioTracks: () => [track] };
}

beforeEach(() => {
  browser = { contexts: [], connected: null, resumes: 0, refusesRate: () => false, refusesStream: () => false };
  Object.assign(globalThis, { AudioContext: FakeAudioContext, AudioWorkletNode: FakeWorkletNode, document: new EventTarget() });
});

/** Captures one packet and the last samples. Returns the rates that the samples came with, and the packet's length. */
async function captured(stream = fakeStream()) {
  const rates = [];
  const capture = await captureStream(stream, { onSamples: (_, rateHz) => rates.push(rateHz), onEnd() {}, onMuted() {} });
  const { packetSamples } = browser.connected;
  browser.connected.port.onmessage({ data: { samples: new Float32Array(packetSamples), last: false } });
  await capture.stop();
  return { rates, packetSamples };
}

test('the page captures at 16 kHz', async () => {
  assert.deepEqual(await captured(), { rates: [16_000, 16_000], packetSamples: 640 });
  assert.deepEqual(browser.contexts.map(({ state }) => state), ['closed']);
});

test('a browser without a 16 kHz context captures at the device rate', async () => {
  browser.refusesRate = (rateHz) => rateHz === 16_000;
  assert.deepEqual(await captured(), { rates: [DEVICE_RATE_HZ, DEVICE_RATE_HZ], packetSamples: 1764 });
});

test('a browser that connects no stream at another rate captures at the device rate', async () => {
  browser.refusesStream = (rateHz) => rateHz !== DEVICE_RATE_HZ; // Firefox
  assert.deepEqual(await captured(), { rates: [DEVICE_RATE_HZ, DEVICE_RATE_HZ], packetSamples: 1764 });
  assert.deepEqual(browser.contexts.map(({ state }) => state), ['closed', 'closed'], 'the first context is closed too');
});

test('packets have the rate that the browser uses, not the requested one', async () => {
  globalThis.AudioContext = class extends FakeAudioContext {
    constructor() {
      super({ sampleRate: 48_000 });
    }
  };
  assert.deepEqual(await captured(), { rates: [48_000, 48_000], packetSamples: 1920 });
});

test('audio goes on after an interruption such as a phone call', async () => {
  const capture = await captureStream(fakeStream(), { onSamples() {}, onEnd() {}, onMuted() {} });
  const [context] = browser.contexts;
  const before = browser.resumes;
  for (const state of ['interrupted', 'suspended']) { // as Safari has it
    context.state = state;
    context.dispatchEvent(new Event('statechange'));
  }
  assert.equal(browser.resumes, before + 2);
  document.dispatchEvent(new Event('visibilitychange'));
  assert.equal(browser.resumes, before + 3);
  await capture.stop();
  context.dispatchEvent(new Event('statechange'));
  assert.equal(browser.resumes, before + 3);
});

test('a stream that connects at no rate fails and is stopped', async () => {
  browser.refusesStream = () => true;
  const stream = fakeStream();
  await assert.rejects(captured(stream), (error) => error instanceof AudioError && error.code === 'failed');
  assert.equal(stream.track.isStopped, true);
  assert.deepEqual(browser.contexts.map(({ state }) => state), ['closed', 'closed']);
});

for (const [browserName, refusesRate, expectedRateHz] of [
  ['a browser that decodes to 16 kHz', () => false, 16_000],
  ['a browser that refuses 16 kHz', (rateHz) => rateHz === 16_000, 48_000],
]) {
  test(`a file in ${browserName} is sent at ${expectedRateHz} Hz`, async (context) => {
    context.mock.timers.enable({ apis: ['setInterval'] });
    globalThis.OfflineAudioContext = class {
      constructor(_channels, _length, sampleRate) {
        if (refusesRate(sampleRate)) throw new DOMException('no such rate', 'NotSupportedError');
        this.sampleRate = sampleRate;
      }
      async decodeAudioData() {
        const { sampleRate } = this;
        return { sampleRate, numberOfChannels: 1, length: 0.02 * sampleRate, getChannelData: () => new Float32Array(0.02 * sampleRate) };
      }
    };
    context.mock.method(performance, 'now', () => (nowMs += 40));
    let nowMs = 0;
    const sent = [];
    let playedS;
    const source = fileSource(new File([], 'talk.wav'), (_, lengthS) => (playedS = lengthS));
    await source.open({ onSamples: (samples, rateHz) => sent.push([samples.length, rateHz]), onEnd() {}, isReady: () => true });
    context.mock.timers.tick(80);
    assert.deepEqual(sent, [[0.02 * expectedRateHz, expectedRateHz]]);
    assert.equal(playedS, 0.02);
  });
}
