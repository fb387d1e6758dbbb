import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Continuity } from '../../web/connection/resumable-session.js';

/** Numbers from 0 to 1, the same for the same seed (the "mulberry32" recipe). */
function randomOf(seed) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

const HELLO = { type: 'hello', sessionId: 'a', seq: 1, resumeToken: 'a.secret', resumeGraceS: 10 };

/** The server's end: it takes what arrives, counts it, and tells what it has. */
class Server {
  heard = [];
  packets = 0;
  commands = 0;
  take(frame) {
    this.heard.push(frame);
    if (typeof frame === 'string') this.commands += 1;
    else this.packets += 1;
  }
}

test('whatever is lost on the way and whenever, the server hears everything once and in order', () => {
  for (let seed = 1; seed <= 300; seed += 1) {
    const random = randomOf(seed);
    const [session, server] = [new Continuity(), new Server()];
    session.arrived(HELLO);
    const said = [];
    let isUp = true;
    let isDelivered = true; // false: the socket takes it, and nobody gets it
    const transmit = (most = Infinity) => {
      for (let i = 0; isUp && i < most; i += 1) {
        const frame = session.journal.take();
        if (frame === null) return;
        if (isDelivered) server.take(frame);
      }
    };
    const reconnect = () => {
      [isUp, isDelivered] = [true, true];
      assert.match(session.arrived({ ...HELLO, sessionId: 'b' }).answer, /"resume"/);
      session.arrived({ type: 'resumed', receivedPackets: server.packets, receivedCommands: server.commands, missedEvents: 0 });
      transmit(Math.floor(random() * 5)); // the socket takes only so much at once
    };
    for (let step = 0; step < 120; step += 1) {
      const dice = random();
      if (dice < 0.75) {
        const frame = random() < 0.1 ? `command ${step}` : new Uint16Array([step]).buffer;
        session.journal.add(frame, typeof frame === 'string' ? 0 : 0.04);
        said.push(frame);
        transmit();
      } else if (dice < 0.8 && isUp) {
        session.journal.passing();
        if (isDelivered) server.commands += 1;
      } else if (dice < 0.85) isDelivered = false;
      else if (dice < 0.92) {
        isUp = false;
        session.disconnected();
      } else if (!isUp) reconnect();
    }
    isUp = false;
    session.disconnected();
    reconnect();
    transmit();
    assert.deepEqual(server.heard, said, `seed ${seed}`);
    assert.equal(session.takeMissedS(), 0);
  }
});

test('a number that was heard is not heard again, and one that was skipped is', () => {
  const session = new Continuity();
  const heard = (seq) => session.arrived({ type: 'final', segmentId: seq, text: '', seq }).events.length;
  session.arrived(HELLO);
  assert.deepEqual([2, 3, 3, 2, 7, 5, 8].map(heard), [1, 1, 0, 0, 1, 0, 1]);
  assert.equal(session.arrived({ type: 'error', where: 'admission', message: '' }).events.length, 1, 'without a number');
});

test('an answer that nobody asked for is none', () => {
  const session = new Continuity();
  session.arrived(HELLO);
  assert.deepEqual(session.arrived({ type: 'resumed', receivedPackets: 9, receivedCommands: 9, missedEvents: 0 }).events, []);
});
