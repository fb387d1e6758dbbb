/** A fake WebSocket; the test plays the server. */
export class FakeSocket {
  sent = [];
  frames = [];
  bufferedAmount = 0;
  isClosed = false;
  send(frame) {
    this.frames.push(frame);
    this.sent.push(typeof frame === 'string' ? JSON.parse(frame).type : frame);
  }
  close(code) {
    this.isClosed = true;
    this.closeCode = code;
  }
  serverSends(event) {
    this.onmessage({ data: JSON.stringify(event) });
  }
  serverCloses(code = 1006) {
    this.onclose({ code });
  }
}
