/**
 * Puts the page together: the parts, the elements they draw on, and the buttons.
 * It must not hold state of its own or word messages.
 */

import { Link } from './link.js';
import { connectionChip, secondsLabel, stateChip } from './messages.js';
import { Meter } from './meter.js';
import { openMicrophone } from './microphone.js';
import { NoticesView } from './notices-view.js';
import { Notices } from './notices.js';
import { meterLevel } from './packets.js';
import { Session } from './session.js';
import { TranscriptView } from './transcript-view.js';
import { Transcript } from './transcript.js';

/** @import { Chip } from './messages.js' */
/** @import { SessionState, TalkPhase } from './session.js' */

/** @type {Record<TalkPhase, string>} */
const TALK_LABELS = { off: 'Talk', asking: 'Allow the microphone', live: 'Stop', stopping: 'Stopping' };
const COPIED_FOR_MS = 2000;

/**
 * @template {HTMLElement} [T=HTMLElement]
 * @param {string} id
 * @returns {T}
 */
const byId = (id) => /** @type {T} */ (document.getElementById(id));

const talkButton = byId('talk');
const talkLabel = byId('talk-label');
const copyButton = /** @type {HTMLButtonElement} */ (byId('copy'));
const clearButton = /** @type {HTMLButtonElement} */ (byId('clear'));

/**
 * Write only what changed: live regions and style recalculation both follow writes.
 *
 * @param {HTMLElement} element
 * @param {Chip} chip an empty label hides it
 */
function drawChip(element, { label, tone }) {
  if (element.textContent !== label) element.textContent = label;
  if (element.dataset.tone !== tone) element.dataset.tone = tone;
  element.hidden = !label;
}

/** @param {SessionState} state */
function drawState(state) {
  drawChip(byId('connection'), connectionChip(state.link, state.model));
  drawChip(byId('state'), state.recorder ? stateChip(state.recorder) : { label: '', tone: 'quiet' });
  const latency = state.latencyMs === null ? '' : `${Math.round(state.latencyMs)} ms`;
  drawChip(byId('latency'), { label: latency, tone: 'quiet' });
  const unsent = state.unsentS > 0 ? `${secondsLabel(state.unsentS)} not sent` : '';
  drawChip(byId('unsent'), { label: unsent, tone: 'warn' });
  if (document.body.dataset.talk !== state.talk) {
    document.body.dataset.talk = state.talk;
    talkLabel.textContent = TALK_LABELS[state.talk];
    if (state.talk === 'off') meter.reset();
  }
}

function drawEmptiness() {
  byId('welcome').hidden = !transcript.isEmpty;
  copyButton.disabled = transcript.isEmpty;
  clearButton.disabled = transcript.isEmpty;
}

async function copyTranscript() {
  try {
    await navigator.clipboard.writeText(transcript.text);
    notices.resolve('copy');
    copyButton.dataset.done = 'true';
    byId('announcement').textContent = 'Transcript copied.';
    setTimeout(() => delete copyButton.dataset.done, COPIED_FOR_MS);
  } catch {
    notices.show('copy', {
      level: 'warning',
      text: 'This browser does not let the page copy. Select the text and copy it by hand.',
    });
  }
}

/** @returns {WebSocket} */
function openSocket() {
  const url = new URL('ws/transcribe', document.baseURI);
  url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
  return new WebSocket(url);
}

const meter = new Meter(byId('meter'));
const transcriptView = new TranscriptView(byId('transcript'));
const transcript = new Transcript((change) => {
  transcriptView.apply(change);
  drawEmptiness();
});
const notices = new Notices((list) => noticesView.draw(list));
const noticesView = new NoticesView(byId('notices'), {
  onDismiss: (key) => notices.resolve(key),
  onRetry: () => link.connect(),
});
const link = new Link({
  openSocket,
  onState: (state) => session.linkChanged(state),
  onEvent: (event) => session.eventArrived(event),
  onLatency: (latencyMs) => session.latencyMeasured(latencyMs),
});
const session = new Session({
  link,
  openMicrophone,
  transcript,
  notices,
  onState: drawState,
  onFinal: (text) => {
    byId('announcement').textContent = text;
  },
  onSamples: (samples) => meter.push(meterLevel(samples)),
});

talkButton.addEventListener('click', () => session.toggle());
clearButton.addEventListener('click', () => {
  session.clear();
  talkButton.focus(); // the button that had the focus is disabled now
});
copyButton.addEventListener('click', copyTranscript);
window.addEventListener('online', () => link.connect());
drawEmptiness();
link.connect();
