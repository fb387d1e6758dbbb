/**
 * The captions view: the last lines, large, for a projector or as a source in streaming software. It shows what is said to it, or
 * what is said to a Talk page in another window of the same browser. docs/page.md lists what its address can set.
 */

import { openMicrophone } from '../audio/microphone.js';
import { ScreenWakeLock } from '../audio/screen-wake-lock.js';
import { KeyStore } from '../connection/key-store.js';
import { ServerConnection } from '../connection/server-connection.js';
import { Session } from '../session.js';
import { byId, setText } from '../shared/dom.js';
import { connectionChip } from '../shared/messages.js';
import { Notices } from '../shared/notices.js';
import { loadPreferences } from '../shared/preferences.js';
import { captionStyle } from './caption-style.js';
import { CHANNEL, CaptionText } from './caption-text.js';

/** @import { SessionState } from '../session.js' */
/** @import { Transcript } from '../transcript/transcript.js' */
/** @import { Caption } from './caption-text.js' */

const style = captionStyle(new URLSearchParams(location.search), (colour) => CSS.supports('color', colour));
for (const [name, value] of Object.entries(style.variables)) document.documentElement.style.setProperty(name, value);
document.body.toggleAttribute('data-transparent', style.isTransparent);

/** A key in the fragment is not sent with the request for the page. Streaming software has no form to enter one. */
const fragmentKey = new URLSearchParams(location.hash.slice(1)).get('key') ?? '';

/** @type {ReturnType<typeof setTimeout> | undefined} */
let quietTimer;

/** @param {Caption} caption */
function draw({ settled, live }) {
  setText(byId('settled'), settled && `${settled} `);
  setText(byId('live'), live);
  const area = byId('captions');
  area.removeAttribute('data-quiet');
  clearTimeout(quietTimer);
  if (style.holdS > 0) quietTimer = setTimeout(() => area.setAttribute('data-quiet', ''), style.holdS * 1000);
}

const keys = new KeyStore();
const wakeLock = new ScreenWakeLock();
const preferences = loadPreferences();
let isTalking = false;

/** @param {SessionState} state */
function drawState({ connection: state, model, talk }) {
  isTalking = talk !== 'off';
  document.body.dataset.talk = talk;
  setText(byId('talk'), talk === 'off' ? 'Talk' : 'Stop');
  const { label } = connectionChip(state, model);
  const problem = notices.list.find(({ level }) => level === 'error')?.text ?? '';
  setText(byId('message'), problem || (label === 'Ready' ? '' : label));
  wakeLock.keep(talk === 'live');
}

const notices = new Notices();
const connection = new ServerConnection({
  openSocket: () => {
    const url = new URL('ws/transcribe', document.baseURI);
    url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
    return new WebSocket(url);
  },
  key: () => fragmentKey || keys.current,
  onState: (state) => session.connectionChanged(state),
  onEvent: (event) => session.eventReceived(event),
  onLatency: (latencyMs) => session.latencyMeasured(latencyMs),
  onAudioLost: (seconds) => session.audioLost(seconds),
});
const session = new Session({
  connection,
  openMicrophone: (handlers) => openMicrophone(preferences, handlers),
  transcript: /** @type {Transcript} */ (/** @type {unknown} */ (new CaptionText(draw))),
  notices,
  onState: drawState,
  onFinal: () => {},
  onSamples: () => {},
});

byId('talk').addEventListener('click', () => void session.talk.toggle());
byId('full-screen').hidden = !document.fullscreenEnabled;
byId('full-screen').addEventListener('click', () => {
  if (document.fullscreenElement) void document.exitFullscreen();
  else document.documentElement.requestFullscreen().catch(() => {}); // the user or the browser refused
});
document.addEventListener('fullscreenchange', () => {
  setText(byId('full-screen'), document.fullscreenElement ? 'End full screen' : 'Full screen');
});
document.addEventListener('visibilitychange', () => {
  if (document.visibilityState === 'visible') void wakeLock.renew();
});
new BroadcastChannel(CHANNEL).onmessage = ({ data }) => {
  if (isTalking) return;
  document.body.toggleAttribute('data-follows', true);
  draw(data);
};
connection.connect();
if (style.startsTalking) void session.talk.toggle();
