/** A link over fake sockets, on timers and a clock that a test moves. */

import { mock } from 'node:test';

import { Link } from '../../web/connection/server-connection.js';
import { FakeSocket } from './fake-socket.mjs';

/** @param {object} [parts] of the link, beside its sockets, clock and chance */
export function makeLink(parts = {}) {
  mock.timers.reset();
  mock.timers.enable({ apis: ['setTimeout', 'setInterval'] });
  let nowMs = 1000;
  const [sockets, states, events] = [[], [], []];
  const link = new Link({
    openSocket: () => {
      sockets.push(new FakeSocket());
      return sockets.at(-1);
    },
    now: () => nowMs,
    random: () => 1,
    onState: (state) => states.push(state),
    onEvent: (event) => events.push(event),
    onLatency: () => {},
    onMissed: () => {},
    ...parts,
  });
  link.connect();

  /** Lets time pass on the timers and on the link's clock together. */
  function pass(ms) {
    for (let left = ms; left > 0; left -= 50) {
      nowMs += Math.min(50, left);
      mock.timers.tick(Math.min(50, left));
    }
  }

  return { link, sockets, states, events, pass };
}
