import assert from 'node:assert/strict';
import { test } from 'node:test';

/** The audio thread's globals, as far as the worklet uses them. */
let Packetiser;
globalThis.AudioWorkletProcessor = class {
  port = { sent: [], postMessage: (message, transfer) => this.port.sent.push(structuredClone(message, { transfer })) };
};
globalThis.registerProcessor = (name, processor) => {
  assert.equal(name, 'packetiser');
  Packetiser = processor;
};
await import('../../web/audio/worklet.js');

const QUANTUM = 128;
const counted = (from, count) => Float32Array.from({ length: count }, (_, i) => from + i);
const started = (packetSamples) => new Packetiser({ processorOptions: { packetSamples } });

for (const packetSamples of [1764, 1920, 128, 100, 320]) {
  test(`packets of ${packetSamples} samples hold every sample once and in order`, () => {
    const processor = started(packetSamples);
    for (let i = 0; i < 37; i += 1) assert.equal(processor.process([[counted(i * QUANTUM, QUANTUM)]]), true);
    processor.port.onmessage({ data: 'flush' });
    const packets = processor.port.sent;
    assert.deepEqual(packets.flatMap(({ samples }) => [...samples]), [...counted(0, 37 * QUANTUM)]);
    assert.ok(packets.slice(0, -1).every(({ samples, last }) => samples.length === packetSamples && !last));
    assert.equal(packets.at(-1).last, true);
  });
}

test('a source without input sends nothing and keeps the node alive', () => {
  const processor = started(320);
  assert.equal(processor.process([[]]), true);
  assert.deepEqual(processor.port.sent, []);
});

test('a flush ends the node, and a second flush sends nothing', () => {
  const processor = started(320);
  processor.port.onmessage({ data: 'flush' });
  processor.port.onmessage({ data: 'flush' });
  assert.equal(processor.process([[counted(0, QUANTUM)]]), false);
  assert.equal(processor.port.sent.length, 1);
});
