/** A ServerConnection over fake sockets, with timers and a clock that the test advances. */

import { mock } from 'node:test';

import { ServerConnection } from '../../web/connection/server-connection.js';
import { FakeSocket } from './fake-socket.mjs';

/** @param {object} [parts] of the connection, beside sockets, clock and random numbers */
export function makeConnection(parts = {}) {
  mock.timers.reset();
  mock.timers.enable({ apis: ['setTimeout', 'setInterval'] });
  let nowMs = 1000;
  const [sockets, states, events] = [[], [], []];
  const connection = new ServerConnection({
    openSocket: () => {
      sockets.push(new FakeSocket());
      return sockets.at(-1);
    },
    now: () => nowMs,
    random: () => 1,
    onState: (state) => states.push(state),
    onEvent: (event) => events.push(event),
    onLatency: () => {},
    onAudioLost: () => {},
    ...parts,
  });
  connection.connect();

  /** Advances the timers and the connection's clock together. */
  function pass(ms) {
    for (let left = ms; left > 0; left -= 50) {
      nowMs += Math.min(50, left);
      mock.timers.tick(Math.min(50, left));
    }
  }

  return { connection, sockets, states, events, pass, now: () => nowMs };
}
