/**
 * Creates the parts of the page and connects them with their elements and with each other.
 * It holds no texts and no state of its own.
 */

import { meterLevel } from './audio/meter-model.js';
import { MAX_FILE_BYTES } from './audio/sources.js';
import { ScreenWakeLock } from './audio/screen-wake-lock.js';
import { authorizeWith } from './connection/http-api.js';
import { KeyPanel } from './connection/key-panel.js';
import { KeyStore } from './connection/key-store.js';
import { ServerConnection } from './connection/server-connection.js';
import { CHANNEL, CaptionText } from './captions/caption-text.js';
import { Controls } from './controls.js';
import { FileQueueView } from './files/file-queue-view.js';
import { FileQueue } from './files/file-queue.js';
import { upload } from './files/upload.js';
import { RunningModel } from './running-model.js';
import { Session } from './session.js';
import { connectOwnSettings } from './settings/own-settings.js';
import { byId, drawChip, setText } from './shared/dom.js';
import { secondsLabel } from './shared/format.js';
import { bufferingChip, connectionChip, incompleteMessage, realTimeMessage, sessionChip } from './shared/messages.js';
import { NoticesView } from './shared/notices-view.js';
import { Notices } from './shared/notices.js';
import { loadPreferences } from './shared/preferences.js';
import { ActivityPanels } from './timeline/activity-panels.js';
import { clearedMessage, lateTranscriptMessage, notKeptMessage, transcriptInUseMessage } from './transcript/transcript-messages.js';
import { TranscriptScroll } from './transcript/transcript-scroll.js';
import { TranscriptStore } from './transcript/transcript-store.js';
import { TranscriptTools } from './transcript/transcript-tools.js';
import { TranscriptView } from './transcript/transcript-view.js';
import { Transcript } from './transcript/transcript.js';

/** @import { ServerEvent } from './connection/protocol.js' */
/** @import { SessionState } from './session.js' */
/** @import { Entry } from './transcript/entries.js' */

/** Key of the notice with the button that undoes a Clear. */
const CLEARED = 'cleared';

const talkButton = byId('talk');

/** @param {SessionState} state */
function drawState(state) {
  const { connection, model, recorder, talk, latencyMs, unsentS } = state;
  const connectionState = connectionChip(connection, model);
  setText(byId('connection'), connectionState.label);
  drawChip(byId('state'), sessionChip(connectionState, connection.phase === 'open' ? recorder : '', activity.wakeWords));
  drawChip(byId('latency'), { label: latencyMs === null ? '' : `Server ${Math.round(latencyMs)} ms`, tone: 'quiet' });
  drawChip(byId('buffering'), bufferingChip(connection, talk === 'live'));
  drawChip(byId('unsent'), { label: unsentS > 0 ? `${secondsLabel(unsentS)} not sent` : '', tone: 'warn' });
  controls.draw(state);
  wakeLock.keep(talk === 'live');
}

/** @returns {WebSocket} */
function openSocket() {
  const url = new URL('ws/transcribe', document.baseURI);
  url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
  return new WebSocket(url);
}

const wakeLock = new ScreenWakeLock();
const keys = new KeyStore();
authorizeWith(() => keys.current);
const preferences = loadPreferences();
const controls = new Controls(preferences);
const transcriptView = new TranscriptView(byId('transcript'));
const transcriptScroll = new TranscriptScroll(byId('newest'), byId('transcript'), byId('bottom-bar'));
const openedAtMs = Date.now();
const store = new TranscriptStore({
  server: document.baseURI,
  isEnabled: preferences.keepTranscript,
  onFailure: () => notices.show('storage', notKeptMessage()),
  onWaiting: () => {
    transcript.numberApart(openedAtMs);
    notices.show('storage', lateTranscriptMessage());
  },
  onLate: (kept) => {
    notices.resolve('storage');
    transcript.restoreLate(kept, openedAtMs);
  },
  onInUse: () => notices.show('storage', transcriptInUseMessage()),
});
/** Whether the transcript of before is being shown, which is stored already. */
let isRestoring = false;
/** Blocks added since the tools and the scroll position were updated, or -1 if those are up to date. */
let added = -1;
const transcript = new Transcript((change) => {
  if (added < 0) queueMicrotask(transcriptChanged); // once for all changes of a restored transcript: it looks at the layout
  added = Math.max(0, added) + (transcriptView.apply(change) ? 1 : 0);
  if (!isRestoring) store.apply(change);
});

function transcriptChanged() {
  transcriptTools.changed();
  transcriptScroll.changed(added);
  added = -1;
}

const notices = new Notices((list) => noticesView.draw(list));
const noticesView = new NoticesView(byId('notices'), {
  onDismiss: (key) => notices.resolve(key),
  onLastDismissed: () => talkButton.focus(),
  onAction: (key) => {
    if (key === CLEARED) undoClear();
    else if (isLocked) keyPanel.open();
    else connection.connect();
  },
});
/** @type {Entry[]} what the last Clear removed */
let clearedEntries = [];

function undoClear() {
  notices.resolve(CLEARED);
  transcript.restore(clearedEntries);
  clearedEntries = [];
  talkButton.focus();
}

const transcriptTools = new TranscriptTools({
  transcript,
  preferences,
  notices,
  onClear: () => {
    clearedEntries = transcript.entries;
    session.clear();
    notices.show(CLEARED, clearedMessage());
    transcriptScroll.follow();
    talkButton.focus(); // the Clear button, which had the focus, is disabled now
  },
  announce: (text) => {
    byId('announcement').textContent = text;
  },
});
const activity = new ActivityPanels();
const running = new RunningModel(byId('running'), notices, (code) => {
  connection.chooseLanguage(code);
  if (session.talk.isOpen) connection.send('start'); // the choice holds from the next utterance on
});
const captionWindows = new BroadcastChannel(CHANNEL);
const captions = new CaptionText((caption) => captionWindows.postMessage(caption));

/** @param {ServerEvent} event for the captions views in other windows */
function showInCaptions(event) {
  if (event.type === 'realtime') captions.realtime(event);
  else if (event.type === 'final') captions.final(event);
  else if (event.type === 'closed') captions.closed(event);
  else if (event.type === 'clear') captions.cleared();
  else if (event.type === 'hello') captions.connected();
}

/** Whether the server waits for a key. */
let isLocked = false;
const connection = new ServerConnection({
  openSocket,
  key: () => keys.current,
  onState: (state) => {
    session.connectionChanged(state);
    activity.connectionChanged(state);
    const wasLocked = isLocked;
    isLocked = state.phase === 'locked';
    if (isLocked && !wasLocked) keyPanel.keyRequired();
  },
  onEvent: (event) => {
    activity.eventReceived(event);
    session.eventReceived(event);
    running.eventReceived(event);
    if (event.type === 'hello') files.maxBytes = event.server.maxUploadBytes;
    showInCaptions(event);
    if (event.type === 'timeline') transcript.timesReceived(event);
  },
  onLatency: (latencyMs) => {
    session.latencyMeasured(latencyMs);
    activity.latencyMeasured(latencyMs);
  },
  onAudioLost: (seconds) => session.audioLost(seconds),
});
const keyPanel = new KeyPanel(/** @type {HTMLDialogElement} */ (byId('key')), byId('key-open'), keys, {
  onChange: () => {
    connection.startNewSession();
    controls.keyChanged();
  },
});
const session = new Session({
  connection,
  openMicrophone: (handlers) => controls.openMicrophone(handlers),
  transcript,
  notices,
  onState: drawState,
  onFinal: (text) => {
    byId('announcement').textContent = text;
  },
  onSamples: (samples) => {
    controls.samplesCaptured(samples);
    activity.levelMeasured(meterLevel(samples));
  },
});

const files = new FileQueue({
  upload: (file, handlers, signal) => upload(file, keys.current, preferences.separateChannels, handlers, signal),
  onChange: (list) => filesView.draw(list),
  onFile: (name) => {
    const number = transcript.fileStarted(name);
    return { add: (spoken) => transcript.fileText(number, spoken), remove: () => transcript.removeFile(number) };
  },
  onDone: (name) => {
    byId('announcement').textContent = `${name} is transcribed.`;
  },
  onWarning: (name, message) => notices.show(`file:${name}`, incompleteMessage(name, message)),
  onUnsupported: (file) => {
    if (file.size <= MAX_FILE_BYTES) notices.show('file', realTimeMessage(file.name, files.maxBytes));
    controls.play(session, file);
  },
});
const filesView = new FileQueueView(byId('files'), {
  onRemove: (id) => files.remove(id),
  onRetry: (id) => files.retry(id),
});

controls.connect(session, connection, notices, (chosen) => files.add(chosen));
connectOwnSettings(byId('own-settings'), preferences, {
  keepTranscript: (isKept) => store.enable(isKept, transcript.entries),
});
window.addEventListener('online', () => {
  if (!isLocked) connection.connect();
});
document.addEventListener('visibilitychange', () => {
  if (document.visibilityState === 'visible') void wakeLock.renew();
});
window.addEventListener('beforeunload', (event) => {
  if (!transcript.isEmpty && !store.isKeeping) event.preventDefault(); // the browser asks: the transcript is in this page only
});
const kept = await store.open();
if (kept.length > 0) {
  isRestoring = true;
  transcript.restore(kept);
  isRestoring = false;
  transcript.reopened(openedAtMs);
}
connection.connect();
