/** A session of the page with a link and microphones that the test drives, made anew for each test. */

import { beforeEach, mock } from 'node:test';

import { Notices } from '../../web/shared/notices.js';
import { Session } from '../../web/session.js';
import { Transcript } from '../../web/transcript/transcript.js';

export const RATE_HZ = 48_000;
export const PACKET = new Float32Array(1920);

export let link;
export let microphones;
export let notices;
export let transcript;
export let session;
export let state;
export let read;

/** A microphone that opens or fails when the test says so. */
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
        this.hears(PACKET.subarray(0, 7));
        this.isStopped = true;
      },
    });
    await settled();
  }
  async fails(error) {
    this.#answer.reject(error);
    await settled();
  }
  hears(samples = PACKET) {
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
export const LINK = { full: false, refusal: '', failures: 0, retryAtMs: 0, keepsS: 0 };

export function connects() {
  link.isOpen = true;
  session.linkChanged({ ...LINK, phase: 'open' });
  session.eventArrived({ type: 'hello', sessionId: 'a' });
  session.eventArrived({ type: 'ready', ok: true });
}

export function disconnects(failures = 1, full = false, keepsS = 0) {
  link.isOpen = false;
  link.keepsS = keepsS;
  session.linkChanged({ ...LINK, phase: 'waiting', failures, full, keepsS });
}

export function resumes(change = {}) {
  link.isOpen = true;
  session.linkChanged({ ...LINK, phase: 'open', keepsS: link.keepsS });
  session.eventArrived({ type: 'resumed', sessionId: 'a', missedEvents: 0, recoveredS: 0, ...change });
}

export async function talks() {
  void session.talk.toggle();
  await microphones.at(-1).opens();
  return microphones.at(-1);
}

beforeEach(() => {
  mock.timers.reset();
  mock.timers.enable({ apis: ['setTimeout'] });
  link = {
    isOpen: false,
    isCatchingUp: false,
    keepsS: 0,
    bufferedBytes: 0,
    sent: [],
    shedS: 0,
    get takes() {
      return link.isOpen || link.keepsS > 0;
    },
    send: (command) => link.takes && link.sent.push(command),
    sendPacket: (packet) => link.takes && Boolean(link.sent.push(packet.byteLength)),
    shed: (packet, durationS) => {
      link.shedS += durationS;
    },
  };
  [microphones, notices, transcript, read] = [[], new Notices(), new Transcript(), []];
  session = new Session({
    link,
    openMicrophone: (handlers) => {
      microphones.push(new FakeMicrophone(handlers));
      return microphones.at(-1).opening;
    },
    transcript,
    notices,
    onState: (next) => {
      state = next;
    },
    onFinal: (text) => read.push(text),
    onSamples: () => {},
    now: () => 0,
  });
});
