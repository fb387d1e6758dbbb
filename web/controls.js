/**
 * Connects the page's controls: talking and its sources, the audio and settings panels, and the two views.
 * It does not interpret events and does not draw the transcript.
 */

import { audioMessage, folderDropped } from './audio/audio-messages.js';
import { AudioPanel } from './audio/audio-panel.js';
import { captureProblem } from './audio/capture.js';
import { Meter } from './audio/meter.js';
import { openMicrophone } from './audio/microphone.js';
import { fileSource, sharedAudio } from './audio/sources.js';
import { connectTalkControls } from './audio/talk-controls.js';
import { Operations } from './operations/operations.js';
import { SettingsPanel } from './settings/settings-panel.js';
import { byId, setText } from './shared/dom.js';
import { positionLabel } from './shared/format.js';

/** @import { CaptureHandlers, SourceKind } from './audio/capture.js' */
/** @import { TalkPhase } from './audio/talk.js' */
/** @import { ServerConnection } from './connection/server-connection.js' */
/** @import { Session, SessionState } from './session.js' */
/** @import { Notices } from './shared/notices.js' */
/** @import { Preferences } from './shared/preferences.js' */

const OPERATIONS = '#operations';

/** @type {Record<TalkPhase, string>} labels of the Talk button */
const TOGGLE_LABELS = { off: 'Talk', asking: 'Opening', live: 'Stop', stopping: 'Stopping' };

/** @type {Record<TalkPhase, string>} the same in hold mode */
const HOLD_LABELS = { ...TOGGLE_LABELS, off: 'Hold to talk', live: 'Release to stop' };

/** @type {Record<SourceKind, string>} for a source without a label of its own */
const SOURCE_LABELS = { microphone: 'Microphone', share: 'Shared audio', file: 'File' };

export class Controls {
  #meter = new Meter(byId('meter'));
  #operations = new Operations(byId('operations'), () => this.#sessionId);
  #sessionId = '';
  /** @type {SessionState | null} */
  #state = null;
  /** Scroll position of the transcript while the Operations view is shown. */
  #transcriptTopPx = 0;
  /** How much of a file was played, such as `0:03 of 0:12`. */
  #progress = '';
  #preferences;

  /** @param {Preferences} preferences */
  constructor(preferences) {
    this.#preferences = preferences;
  }

  /**
   * @param {Session} session
   * @param {ServerConnection} connection
   * @param {Notices} notices
   * @param {(files: File[]) => void} transcribe files that were chosen or dropped
   */
  connect(session, connection, notices, transcribe) {
    const { talk } = session;
    connectTalkControls(byId('talk'), {
      isHold: () => this.#preferences.holdToTalk,
      isOff: () => talk.phase === 'off',
      toggle: () => void talk.toggle(),
      transcribe,
      reportFolder: (name) => notices.show('file', folderDropped(name)),
    });
    const audio = new AudioPanel(byId('audio'), {
      preferences: this.#preferences,
      onMicrophone: () => void talk.reopenMicrophone(),
      onHold: () => this.#drawTalk(),
      onShare: () => void talk.startFrom(sharedAudio),
      onFiles: transcribe,
    });
    const settings = new SettingsPanel(byId('settings'), () => connection.startNewSession());
    byId('audio').addEventListener('close', () => byId('talk').focus()); // the next step is talking, also by the space bar
    byId('audio-open').addEventListener('click', () => audio.open());
    byId('try-out').addEventListener('click', () => void this.#tryOut(transcribe));
    byId('own-microphone').addEventListener('click', () => {
      /** @type {HTMLDialogElement} */ (byId('settings')).close();
      audio.open();
    });
    byId('settings-open').addEventListener('click', () => void settings.open());
    for (const dialog of document.querySelectorAll('dialog')) {
      dialog.querySelector('[data-part=close]')?.addEventListener('click', () => dialog.close());
    }
    addEventListener('hashchange', () => this.#showView());
    this.#showView();
    const problem = captureProblem();
    if (problem) notices.show('audio', audioMessage(problem));
  }

  /**
   * Send a file as if it were spoken, to a server without uploads or with too small a limit.
   *
   * @param {Session} session
   * @param {File} file
   */
  play({ talk }, file) {
    this.#progress = '';
    void talk.startFrom(fileSource(file, (playedS, lengthS) => this.#played(playedS, lengthS)));
  }

  /** With another key, the server may show more or less than before. */
  keyChanged() {
    this.#showView();
  }

  /** @param {CaptureHandlers} handlers */
  openMicrophone(handlers) {
    return openMicrophone(this.#preferences, handlers);
  }

  /** @param {Float32Array} samples one packet */
  samplesCaptured(samples) {
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
    const isHold = this.#preferences.holdToTalk && (source ?? 'microphone') === 'microphone';
    setText(byId('talk-label'), (isHold ? HOLD_LABELS : TOGGLE_LABELS)[talk]);
    const isOpen = source && talk !== 'asking';
    const parts = isOpen ? [sourceLabel || SOURCE_LABELS[source], this.#progress] : [this.#keyboardHint];
    setText(byId('source'), parts.filter(Boolean).join(' · '));
  }

  /** What the space bar does; '' on a touch screen. */
  get #keyboardHint() {
    if (matchMedia('(pointer: coarse)').matches) return '';
    return this.#preferences.holdToTalk ? 'Hold the space bar to talk' : 'Press the space bar to start and stop';
  }

  /**
   * Transcribe the recording that comes with the page: the beginning of Dickens's "A Tale of Two Cities", 17 s, from the package
   * moonshine-voice (MIT).
   *
   * @param {(files: File[]) => void} transcribe
   */
  async #tryOut(transcribe) {
    const answer = await fetch(new URL('web/try-out.ogg', document.baseURI)).catch(() => null);
    if (answer?.ok) transcribe([new File([await answer.blob()], 'A Tale of Two Cities.ogg')]);
  }

  /**
   * @param {number} playedS
   * @param {number} lengthS
   */
  #played(playedS, lengthS) {
    this.#progress = `${positionLabel(playedS)} of ${positionLabel(lengthS)}`;
    this.#drawTalk();
  }

  #showView() {
    const isOperations = location.hash === OPERATIONS;
    const conversation = byId('conversation');
    const page = document.documentElement;
    if (isOperations && !conversation.hidden) this.#transcriptTopPx = page.scrollTop;
    const isBack = !isOperations && conversation.hidden;
    conversation.hidden = isOperations;
    byId('operations').hidden = !isOperations;
    for (const anchor of /** @type {NodeListOf<HTMLAnchorElement>} */ (byId('views').querySelectorAll('a[href^="#"]'))) {
      if ((anchor.hash === OPERATIONS) === isOperations) anchor.setAttribute('aria-current', 'page');
      else anchor.removeAttribute('aria-current');
    }
    this.#operations.show(isOperations);
    if (isBack) page.scrollTop = this.#transcriptTopPx;
  }
}
