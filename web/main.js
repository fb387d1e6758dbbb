/**
 * Puts the page together: the parts, the elements they draw on, and the buttons.
 * It must not hold state of its own or word messages.
 */

import { authorizeWith } from './connection/http-api.js';
import { drawChip } from './timeline/session-stats.js';
import { Controls } from './controls.js';
import { KeyPanel } from './connection/key-panel.js';
import { Keys } from './connection/key-store.js';
import { Link } from './connection/server-connection.js';
import { connectionChip, keptChip, secondsLabel, stateChip } from './shared/messages.js';
import { NoticesView } from './shared/notices-view.js';
import { Notices } from './shared/notices.js';
import { Observer } from './timeline/activity-panels.js';
import { meterLevel } from './audio/packets.js';
import { Session } from './session.js';
import { TranscriptScroll } from './transcript/transcript-scroll.js';
import { TranscriptTools } from './transcript/transcript-tools.js';
import { TranscriptView } from './transcript/transcript-view.js';
import { Transcript } from './transcript/transcript.js';

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
  const isHeard = state.recorder && state.link.phase === 'open';
  drawChip(byId('state'), isHeard ? stateChip(state.recorder, observer.wakeWords) : { label: '', tone: 'quiet' });
  const latency = state.latencyMs === null ? '' : `${Math.round(state.latencyMs)} ms`;
  drawChip(byId('latency'), { label: latency, tone: 'quiet' });
  const unsent = state.unsentS > 0 ? `${secondsLabel(state.unsentS)} not sent` : '';
  drawChip(byId('kept'), keptChip(state.link, state.talk === 'live'));
  drawChip(byId('unsent'), { label: unsent, tone: 'warn' });
  controls.draw(state);
}

/** @returns {WebSocket} */
function openSocket() {
  const url = new URL('ws/transcribe', document.baseURI);
  url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
  return new WebSocket(url);
}

const keys = new Keys();
authorizeWith(() => keys.current);
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
  onRetry: () => (isLocked ? keyPanel.open() : link.connect()),
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
/** Whether the server waits for a key. */
let isLocked = false;
const link = new Link({
  openSocket,
  key: () => keys.current,
  onState: (state) => {
    session.linkChanged(state);
    observer.linkChanged(state);
    const wasLocked = isLocked;
    isLocked = state.phase === 'locked';
    if (isLocked && !wasLocked) keyPanel.ask();
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
  onMissed: (seconds) => session.missed(seconds),
});
const keyPanel = new KeyPanel(/** @type {HTMLDialogElement} */ (byId('key')), byId('key-open'), keys, {
  onChange: () => {
    link.renew();
    controls.keyChanged();
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
window.addEventListener('online', () => {
  if (!isLocked) link.connect();
});
link.connect();
