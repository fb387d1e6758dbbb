/** A Session with a fake connection and fake microphones, made anew for each test. */

import { beforeEach, mock } from 'node:test';

import { Notices } from '../../web/shared/notices.js';
import { Session } from '../../web/session.js';
import { Transcript } from '../../web/transcript/transcript.js';

export const RATE_HZ = 48_000;
export const PACKET = new Float32Array(1920);

export let connection;
export let microphones;
export let notices;
export let transcript;
export let session;
export let state;
export let announced;

/** A microphone that opens or fails when the test calls it. */
class FakeMicrophone {
  #answer = deferred();
  isStopped = false;
  constructor(handlers) {
    this.handlers = handlers;
    this.opening = this.#answer.promise;
  }
  async opens() {
    this.#answer.resolve({
      label: 'A microphone',
      stop: async () => {
        await null;
        this.captures(PACKET.subarray(0, 7));
        this.isStopped = true;
      },
    });
    await settled();
  }
  async fails(error) {
    this.#answer.reject(error);
    await settled();
  }
  captures(samples = PACKET) {
    this.handlers.onSamples(samples, RATE_HZ);
  }
}

function deferred() {
  const parts = {};
  parts.promise = new Promise((resolve, reject) => Object.assign(parts, { resolve, reject }));
  return parts;
}

export const settled = () => new Promise((resolve) => setImmediate(resolve));
export const keys = () => notices.list.map(({ key }) => key);
export const CONNECTION = { isFull: false, rejection: '', failures: 0, retryAtMs: 0, graceS: 0 };

export function connects() {
  connection.isOpen = true;
  session.connectionChanged({ ...CONNECTION, phase: 'open' });
  session.eventReceived({ type: 'hello', sessionId: 'a' });
  session.eventReceived({ type: 'ready', ok: true });
}

export function disconnects(failures = 1, isFull = false, graceS = 0) {
  connection.isOpen = false;
  connection.graceS = graceS;
  session.connectionChanged({ ...CONNECTION, phase: 'waiting', failures, isFull, graceS });
}

export function resumes(change = {}) {
  connection.isOpen = true;
  session.connectionChanged({ ...CONNECTION, phase: 'open', graceS: connection.graceS });
  session.eventReceived({ type: 'resumed', sessionId: 'a', missedEvents: 0, recoveredS: 0, ...change });
}

export async function talks() {
  void session.talk.toggle();
  await microphones.at(-1).opens();
  return microphones.at(-1);
}

beforeEach(() => {
  mock.timers.reset();
  mock.timers.enable({ apis: ['setTimeout'] });
  connection = {
    isOpen: false,
    isCatchingUp: false,
    graceS: 0,
    bufferedBytes: 0,
    sent: [],
    shedS: 0,
    get canSend() {
      return connection.isOpen || connection.graceS > 0;
    },
    send: (command) => connection.canSend && connection.sent.push(command),
    sendPacket: (packet) => connection.canSend && Boolean(connection.sent.push(packet.byteLength)),
    shed: (packet, durationS) => {
      connection.shedS += durationS;
    },
  };
  [microphones, notices, transcript, announced] = [[], new Notices(), new Transcript(), []];
  session = new Session({
    connection,
    openMicrophone: (handlers) => {
      microphones.push(new FakeMicrophone(handlers));
      return microphones.at(-1).opening;
    },
    transcript,
    notices,
    onState: (next) => {
      state = next;
    },
    onFinal: (text) => announced.push(text),
    onSamples: () => {},
    now: () => 0,
  });
});
