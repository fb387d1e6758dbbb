/**
 * Puts the page together: the parts, the elements they draw on, and the buttons.
 * It must not hold state of its own or word messages.
 */

import { drawChip } from './chips.js';
import { Controls } from './controls.js';
import { Link } from './link.js';
import { connectionChip, secondsLabel, stateChip } from './messages.js';
import { NoticesView } from './notices-view.js';
import { Notices } from './notices.js';
import { Observer } from './observer.js';
import { meterLevel } from './packets.js';
import { Session } from './session.js';
import { TranscriptScroll } from './transcript-scroll.js';
import { TranscriptTools } from './transcript-tools.js';
import { TranscriptView } from './transcript-view.js';
import { Transcript } from './transcript.js';

/** @import { SessionState } from './session.js' */

/**
 * @template {HTMLElement} [T=HTMLElement]
 * @param {string} id
 * @returns {T}
 */
const byId = (id) => /** @type {T} */ (document.getElementById(id));

const talkButton = byId('talk');

/** @param {SessionState} state */
function drawState(state) {
  drawChip(byId('connection'), connectionChip(state.link, state.model));
  drawChip(byId('state'), state.recorder ? stateChip(state.recorder, observer.wakeWords) : { label: '', tone: 'quiet' });
  const latency = state.latencyMs === null ? '' : `${Math.round(state.latencyMs)} ms`;
  drawChip(byId('latency'), { label: latency, tone: 'quiet' });
  const unsent = state.unsentS > 0 ? `${secondsLabel(state.unsentS)} not sent` : '';
  drawChip(byId('unsent'), { label: unsent, tone: 'warn' });
  controls.draw(state);
}

/** @returns {WebSocket} */
function openSocket() {
  const url = new URL('ws/transcribe', document.baseURI);
  url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
  return new WebSocket(url);
}

const controls = new Controls();
const transcriptView = new TranscriptView(byId('transcript'));
const transcriptScroll = new TranscriptScroll(byId('newest'), byId('transcript'), byId('dock'));
const transcript = new Transcript((change) => {
  const isNew = transcriptView.apply(change);
  transcriptTools.changed();
  transcriptScroll.changed(isNew);
});
const notices = new Notices((list) => noticesView.draw(list));
const noticesView = new NoticesView(byId('notices'), {
  onDismiss: (key) => notices.resolve(key),
  onLastDismissed: () => talkButton.focus(),
  onRetry: () => link.connect(),
});
const transcriptTools = new TranscriptTools({
  transcript,
  notices,
  onClear: () => {
    session.clear();
    transcriptScroll.follow();
    talkButton.focus(); // the button that had the focus is disabled now
  },
  announce: (text) => {
    byId('announcement').textContent = text;
  },
});
const observer = new Observer();
const link = new Link({
  openSocket,
  onState: (state) => {
    session.linkChanged(state);
    observer.linkChanged(state);
  },
  onEvent: (event) => {
    observer.eventArrived(event);
    session.eventArrived(event);
    if (event.type === 'timeline') transcript.timed(event);
  },
  onLatency: (latencyMs) => {
    session.latencyMeasured(latencyMs);
    observer.latencyMeasured(latencyMs);
  },
});
const session = new Session({
  link,
  openMicrophone: (handlers) => controls.openMicrophone(handlers),
  transcript,
  notices,
  onState: drawState,
  onFinal: (text) => {
    byId('announcement').textContent = text;
  },
  onSamples: (samples) => {
    controls.heard(samples);
    observer.levelHeard(meterLevel(samples));
  },
});

controls.connect(session, link, notices);
window.addEventListener('online', () => link.connect());
link.connect();
