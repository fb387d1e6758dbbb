/**
 * Puts together what people press: talking and its sources, the panels of sound and settings, and the two views.
 * It must not know what is said or how words are shown.
 */

import { captureProblem } from './audio/capture.js';
import { Meter } from './audio/meter.js';
import { openMicrophone } from './audio/microphone.js';
import { Operations } from './operations/operations.js';
import { loadPreferences } from './audio/preferences.js';
import { SettingsPanel } from './settings/settings-panel.js';
import { soundMessage } from './audio/audio-messages.js';
import { SoundPanel } from './audio/audio-panel.js';
import { fileSource, sharedAudio } from './audio/sources.js';
import { connectTalkControls } from './audio/talk-controls.js';

/** @import { CaptureHandlers, SourceKind } from './audio/capture.js' */
/** @import { Link } from './connection/server-connection.js' */
/** @import { Notices } from './shared/notices.js' */
/** @import { Session, SessionState } from './session.js' */
/** @import { TalkPhase } from './audio/talk.js' */

const OPERATIONS = '#operations';

/** @type {Record<TalkPhase, string>} */
const PRESSED = { off: 'Talk', asking: 'Opening', live: 'Stop', stopping: 'Stopping' };

/** @type {Record<TalkPhase, string>} */
const HELD = { ...PRESSED, off: 'Hold to talk', live: 'Let go to stop' };

/** @type {Record<SourceKind, string>} */
const SOURCES = { microphone: 'Microphone', share: 'Shared sound', file: 'File' };

/**
 * @template {HTMLElement} [T=HTMLElement]
 * @param {string} id
 * @returns {T}
 */
const byId = (id) => /** @type {T} */ (document.getElementById(id));

/** @param {number} seconds */
const clock = (seconds) => `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, '0')}`;

export class Controls {
  #preferences = loadPreferences();
  #meter = new Meter(byId('meter'));
  #operations = new Operations(byId('operations'), () => this.#sessionId);
  #sessionId = '';
  /** @type {SessionState | null} */
  #state = null;
  /** How far down people were reading when they left for another view. */
  #readingPx = 0;
  /** How much of a file was played, for people. */
  #progress = '';

  /**
   * @param {Session} session
   * @param {Link} link
   * @param {Notices} notices
   */
  connect(session, link, notices) {
    const { talk } = session;
    const play = (/** @type {File} */ file) => {
      this.#progress = '';
      void talk.hear(fileSource(file, (playedS, lengthS) => this.#played(playedS, lengthS)));
    };
    connectTalkControls(byId('talk'), {
      isHold: () => this.#preferences.holdToTalk,
      isOff: () => talk.phase === 'off',
      toggle: () => void talk.toggle(),
      play,
    });
    const sound = new SoundPanel(byId('sound'), {
      preferences: this.#preferences,
      onMicrophone: () => void talk.reopenMicrophone(),
      onHold: () => this.#drawTalk(),
      onShare: () => void talk.hear(sharedAudio),
      onFile: play,
    });
    const settings = new SettingsPanel(byId('settings'), () => link.renew());
    byId('sound').addEventListener('close', () => byId('talk').focus()); // it was about talking, and so is the space bar
    byId('sound-open').addEventListener('click', () => sound.open());
    byId('settings-open').addEventListener('click', () => void settings.open());
    for (const dialog of document.querySelectorAll('dialog')) {
      dialog.querySelector('[data-part=close]')?.addEventListener('click', () => dialog.close());
    }
    addEventListener('hashchange', () => this.#showView());
    this.#showView();
    const problem = captureProblem();
    if (problem) notices.show('sound', soundMessage(problem));
  }

  /** The server may tell more than before, or less. */
  keyChanged() {
    this.#showView();
  }

  /** @param {CaptureHandlers} handlers */
  openMicrophone(handlers) {
    return openMicrophone(this.#preferences, handlers);
  }

  /** @param {Float32Array} samples one packet */
  heard(samples) {
    this.#meter.push(samples);
  }

  /** @param {SessionState} state */
  draw(state) {
    if (state.talk === 'off' && this.#state?.talk !== 'off') {
      this.#meter.reset();
      this.#progress = '';
    }
    this.#state = state;
    this.#sessionId = state.sessionId;
    this.#drawTalk();
  }

  #drawTalk() {
    const { talk = 'off', source = null, sourceLabel = '' } = this.#state ?? {};
    document.body.dataset.talk = talk;
    const isHeld = this.#preferences.holdToTalk && (source ?? 'microphone') === 'microphone';
    write(byId('talk-label'), (isHeld ? HELD : PRESSED)[talk]);
    const words = source && talk !== 'asking' ? [sourceLabel || SOURCES[source], this.#progress].filter(Boolean).join(' · ') : '';
    write(byId('source'), words || this.#hint);
  }

  /** What the keyboard does, where there is one. */
  get #hint() {
    if (matchMedia('(pointer: coarse)').matches) return '';
    return this.#preferences.holdToTalk ? 'Hold the space bar to talk' : 'The space bar starts and stops';
  }

  /**
   * @param {number} playedS
   * @param {number} lengthS
   */
  #played(playedS, lengthS) {
    this.#progress = `${clock(playedS)} of ${clock(lengthS)}`;
    this.#drawTalk();
  }

  #showView() {
    const isOperations = location.hash === OPERATIONS;
    const conversation = byId('conversation');
    const page = document.documentElement;
    if (isOperations && !conversation.hidden) this.#readingPx = page.scrollTop;
    const isBack = !isOperations && conversation.hidden;
    conversation.hidden = isOperations;
    byId('operations').hidden = !isOperations;
    for (const anchor of byId('views').querySelectorAll('a')) {
      if ((anchor.hash === OPERATIONS) === isOperations) anchor.setAttribute('aria-current', 'page');
      else anchor.removeAttribute('aria-current');
    }
    this.#operations.show(isOperations);
    if (isBack) page.scrollTop = this.#readingPx;
  }
}

/**
 * @param {HTMLElement} element
 * @param {string} words
 */
function write(element, words) {
  if (element.textContent !== words) element.textContent = words;
}
