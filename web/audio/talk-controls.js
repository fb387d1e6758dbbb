/**
 * Keys, button and dropped files: what people do to talk. In the way they chose, a press toggles, or talking lasts as long
 * as it is held. It must not know what talking is.
 */

/** Where a space is a space, or presses something else. */
const TAKES_SPACE = 'input, textarea, select, button, a, summary, audio, video, dialog, [contenteditable], [tabindex]:not([tabindex="-1"])';

/**
 * @typedef {object} TalkActions
 * @property {() => boolean} isHold whether talking lasts only while it is held
 * @property {() => boolean} isOff
 * @property {() => void} toggle
 * @property {(file: File) => void} play
 */

/**
 * @param {HTMLButtonElement} button
 * @param {TalkActions} actions
 */
export function connectTalkControls(button, actions) {
  let isHeld = false;
  const press = () => {
    if (isHeld || !actions.isOff()) return;
    isHeld = true;
    actions.toggle();
  };
  const release = () => {
    if (!isHeld) return;
    isHeld = false;
    if (!actions.isOff()) actions.toggle();
  };

  button.addEventListener('pointerdown', (event) => {
    if (!actions.isHold() || event.button !== 0) return;
    button.setPointerCapture(event.pointerId);
    press();
  });
  button.addEventListener('pointerup', release);
  button.addEventListener('pointercancel', release);
  button.addEventListener('click', (event) => {
    // A click without a pointer comes from a screen reader or a script, which cannot hold.
    const isFromPointer = event.detail > 0;
    if (event.detail > 1) return; // the rest of a double click, which means one
    if (!actions.isHold() || !isFromPointer) actions.toggle();
  });
  button.addEventListener('contextmenu', (event) => {
    if (actions.isHold()) event.preventDefault(); // a long touch
  });

  addEventListener('keydown', (event) => {
    if (event.code !== 'Space' || event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    const target = event.target instanceof Element ? event.target : document.body;
    const isOurs = target === button || !target.closest(TAKES_SPACE);
    if (!isOurs || document.querySelector('dialog[open]')) return;
    event.preventDefault(); // no scrolling, and no click of the button as well
    if (event.repeat) return;
    if (actions.isHold()) press();
    else actions.toggle();
  });
  addEventListener('keyup', (event) => {
    if (event.code !== 'Space') return;
    if (event.target === button) event.preventDefault();
    release();
  });
  addEventListener('blur', release); // the key's or the pointer's end would go to another window
  connectDrop(actions);
}

/** @param {TalkActions} actions */
function connectDrop({ play }) {
  const hasFile = (/** @type {DragEvent} */ event) => event.dataTransfer?.types.includes('Files') ?? false;
  /** Entering a child comes before leaving its parent. */
  let depth = 0;
  const show = () => document.body.toggleAttribute('data-drop', depth > 0);
  addEventListener('dragenter', (event) => {
    if (!hasFile(event)) return;
    depth += 1;
    show();
  });
  addEventListener('dragleave', (event) => {
    if (!hasFile(event)) return;
    depth = Math.max(0, depth - 1);
    show();
  });
  addEventListener('dragover', (event) => {
    if (!hasFile(event)) return;
    event.preventDefault();
    if (event.dataTransfer) event.dataTransfer.dropEffect = 'copy';
  });
  addEventListener('drop', (event) => {
    if (!hasFile(event)) return;
    event.preventDefault();
    depth = 0;
    show();
    const [file] = event.dataTransfer?.files ?? [];
    if (file) play(file);
  });
}
