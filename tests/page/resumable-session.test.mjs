import assert from 'node:assert/strict';
import { test } from 'node:test';

import { ResumableSession } from '../../web/connection/resumable-session.js';
import { randomOf } from './random.mjs';

const HELLO = { type: 'hello', sessionId: 'a', seq: 1, resumeToken: 'a.secret', resumeGraceS: 10 };

/** The server's side: receives and counts frames. */
class Server {
  received = [];
  packets = 0;
  commands = 0;
  receive(frame) {
    this.received.push(frame);
    if (typeof frame === 'string') this.commands += 1;
    else this.packets += 1;
  }
}

test('with losses at any time, the server receives everything once and in order', () => {
  for (let seed = 1; seed <= 300; seed += 1) {
    const random = randomOf(seed);
    const [session, server] = [new ResumableSession(), new Server()];
    session.receive(HELLO);
    const added = [];
    let isUp = true;
    let isDelivered = true; // false: the socket accepts frames that the server never gets
    const transmit = (most = Infinity) => {
      for (let i = 0; isUp && i < most; i += 1) {
        const frame = session.buffer.takeNext();
        if (frame === null) return;
        if (isDelivered) server.receive(frame);
      }
    };
    const reconnect = () => {
      [isUp, isDelivered] = [true, true];
      assert.match(session.receive({ ...HELLO, sessionId: 'b' }).reply, /"resume"/);
      session.receive({ type: 'resumed', receivedPackets: server.packets, receivedCommands: server.commands, missedEvents: 0 });
      transmit(Math.floor(random() * 5)); // the socket takes only a few at once
    };
    for (let step = 0; step < 120; step += 1) {
      const dice = random();
      if (dice < 0.75) {
        const frame = random() < 0.1 ? `command ${step}` : new Uint16Array([step]).buffer;
        session.buffer.add(frame, typeof frame === 'string' ? 0 : 0.04);
        added.push(frame);
        transmit();
      } else if (dice < 0.8 && isUp) {
        session.buffer.countUnbufferedCommand();
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
    assert.deepEqual(server.received, added, `seed ${seed}`);
    assert.equal(session.takeLostS(), 0);
  }
});

test('an event number is delivered once, and a gap in the numbers is accepted', () => {
  const session = new ResumableSession();
  const delivered = (seq) => session.receive({ type: 'final', segmentId: seq, text: '', seq }).events.length;
  session.receive(HELLO);
  assert.deepEqual([2, 3, 3, 2, 7, 5, 8].map(delivered), [1, 1, 0, 0, 1, 0, 1]);
  assert.equal(session.receive({ type: 'error', where: 'admission', message: '' }).events.length, 1, 'without a number');
});

test('`resumed` without a `resume` is ignored', () => {
  const session = new ResumableSession();
  session.receive(HELLO);
  assert.deepEqual(session.receive({ type: 'resumed', receivedPackets: 9, receivedCommands: 9, missedEvents: 0 }).events, []);
});
