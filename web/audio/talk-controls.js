/**
 * User input for talking: the Talk button, the space bar, and dropped files. A press toggles; in hold mode, talking lasts while
 * the button or key is held. It does not know what talking is.
 */

/** Elements that use the space bar themselves. */
const USES_SPACE = 'input, textarea, select, button, a, summary, audio, video, dialog, [contenteditable], [tabindex]:not([tabindex="-1"])';

/**
 * @typedef {object} TalkActions
 * @property {() => boolean} isHold hold mode
 * @property {() => boolean} isOff
 * @property {() => void} toggle
 * @property {(files: File[]) => void} transcribe
 * @property {(name: string) => void} reportFolder a folder was dropped, which browsers do not send
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
    // A click without a pointer comes from a screen reader or a script. Those cannot hold, so it toggles.
    const isFromPointer = event.detail > 0;
    if (event.detail > 1) return; // the second click of a double click
    if (!actions.isHold() || !isFromPointer) actions.toggle();
  });
  button.addEventListener('contextmenu', (event) => {
    if (actions.isHold()) event.preventDefault(); // a long touch holds; it opens no menu
  });

  addEventListener('keydown', (event) => {
    if (event.code !== 'Space' || event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    const target = event.target instanceof Element ? event.target : document.body;
    const isOurs = target === button || !target.closest(USES_SPACE);
    if (!isOurs || document.querySelector('dialog[open]')) return;
    event.preventDefault(); // no scrolling, and no click of the focused button
    if (event.repeat) return;
    if (actions.isHold()) press();
    else actions.toggle();
  });
  addEventListener('keyup', (event) => {
    if (event.code !== 'Space') return;
    if (event.target === button) event.preventDefault();
    release();
  });
  addEventListener('blur', release); // another window would get the keyup or pointerup
  connectDrop(actions);
}

/** @param {TalkActions} actions */
function connectDrop({ transcribe, reportFolder }) {
  const hasFile = (/** @type {DragEvent} */ event) => event.dataTransfer?.types.includes('Files') ?? false;
  // A counter, because dragenter of a child comes before dragleave of its parent.
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
    const entries = [...(event.dataTransfer?.items ?? [])].map((item) => item.webkitGetAsEntry?.());
    const folders = new Set(entries.filter((entry) => entry?.isDirectory).map((entry) => entry?.name ?? ''));
    folders.forEach(reportFolder);
    const files = [...(event.dataTransfer?.files ?? [])].filter(({ name }) => !folders.has(name));
    if (files.length > 0) transcribe(files);
  });
}
