/** The page's session against a server that is killed and restarts while words are spoken: each must be shown once. */

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { PACKET_MS } from '../../web/audio/packets.js';
import { Session } from '../../web/session.js';
import { Notices } from '../../web/shared/notices.js';
import { Transcript } from '../../web/transcript/transcript.js';
import { makeConnection } from './connection-harness.mjs';
import { randomOf } from './random.mjs';
import { EPOCH_S, RATE_HZ, SpeechServer, samplesOf, speechOf } from './speech-server.mjs';

const SEEDS = 12;

/** A segment is dated when speech is confirmed, which the page takes to be 0.3 s after its start. */
const DATED_WITHIN_S = 0.35;

/**
 * Shows a script that is spoken while the server is killed.
 *
 * @param {number[]} script as of `speechOf`
 * @param {object} parts of the server
 * @param {{at: number, unnoticedMs: number, downMs: number}[]} kills `at`: place in the script; what is sent until the page
 *   notices is lost
 * @returns {Promise<{blocks: object[], breaks: object[], startMs: number}>} `startMs`: when place 0 was spoken
 */
async function show(script, parts, kills) {
  let session;
  let microphone;
  const transcript = new Transcript();
  const { connection, sockets, pass, now } = makeConnection({
    random: parts.random,
    onState: (state) => session?.connectionChanged(state),
    onEvent: (event) => session.eventReceived(event),
    onAudioLost: (seconds) => session.audioLost(seconds),
  });
  session = new Session({
    connection,
    transcript,
    notices: new Notices(),
    openMicrophone: async (handlers) => {
      microphone = handlers;
      return { label: '', stop: async () => {} };
    },
    onState: () => {},
    onFinal: () => {},
    onSamples: () => {},
    now,
  });

  let [server, served, closesAtMs, upAtMs] = [null, null, Infinity, 0];
  const serve = () => {
    if (now() >= closesAtMs) [closesAtMs] = [Infinity, served.serverCloses()];
    const socket = sockets.at(-1);
    if (socket !== served) {
      served = socket;
      if (now() < upAtMs) return void socket.serverCloses();
      server = new SpeechServer(socket, script, parts);
      server.opened(now());
    }
    server?.runs(now());
  };
  serve();
  await session.talk.toggle();
  const startMs = now() + PACKET_MS;
  script.forEach((_, place) => {
    pass(PACKET_MS);
    microphone.onSamples(samplesOf(place), RATE_HZ);
    serve();
    const kill = kills.find(({ at }) => at === place);
    if (!kill || !server) return;
    [server, closesAtMs, upAtMs] = [null, now() + kill.unnoticedMs, now() + kill.downMs];
  });
  const ofKind = (wanted) => transcript.entries.filter(({ kind }) => kind === wanted);
  return { blocks: ofKind('block'), breaks: ofKind('break'), startMs };
}

const wordsOf = ({ stable, unstable }) => (stable + unstable).trim().split(' ').map(Number);

for (const [name, parts] of [
  ['ends turns after a pause', {}],
  ['ends turns early and resumes them', { isAdaptive: true }],
  ['cuts long segments', { longest: 60 }],
  ['is slow', { isSlow: true, isAdaptive: true }],
  ['hears sentences longer than the page keeps audio', { mostWords: 120, packets: 1500 }],
]) {
  test(`each word is shown once, in order and with its date, when a server restarts that ${name}`, async () => {
    for (let seed = 1; seed <= SEEDS; seed += 1) {
      const random = randomOf(seed);
      const oneOf = (...choices) => choices[Math.floor(random() * choices.length)];
      const { packets = 500, mostWords } = parts;
      const script = speechOf(random, packets, mostWords);
      let at = Math.floor(random() * packets * 0.3);
      const kills = Array.from({ length: oneOf(1, 2, 3, 4) }, () => ({
        at: (at += 1 + Math.floor(random() * packets * 0.3)),
        unnoticedMs: oneOf(0, 0, 200, 1500),
        downMs: oneOf(0, 0, 500, 2000, 4000),
      }));
      const { blocks, breaks, startMs } = await show(script, { ...parts, random }, kills);
      const about = `seed ${seed}, ${JSON.stringify(kills)}`;
      assert.deepEqual(blocks.flatMap(wordsOf), [...new Set(script)].filter(Boolean), about);
      assert.ok(blocks.every(({ phase }) => phase === 'final'), about);
      assert.ok(breaks.every(({ lostS }) => lostS === 0), about);
      for (const block of blocks) {
        const spokenAt = EPOCH_S + (startMs + script.indexOf(wordsOf(block)[0]) * PACKET_MS) / 1000;
        assert.ok(Math.abs(block.times.recordingStartedAt - spokenAt) <= DATED_WITHIN_S, `${about}: ${block.stable}`);
      }
    }
  });
}
