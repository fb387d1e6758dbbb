/**
 * The wire messages that this page understands: their types, and the reading of one text frame.
 * It must not keep state, touch the DOM or decide what an event means for the reader.
 *
 * @typedef {{recordingStartedAt?: number, recordingEndedAt?: number, durationSeconds?: number}} SegmentTimes
 *   Epoch seconds and seconds of speech; a field is absent while unknown.
 *
 * @typedef {{type: 'hello', sessionId: string}} Hello
 * @typedef {{type: 'ready', ok: boolean}} Ready
 * @typedef {{type: 'status', state: string}} Status
 * @typedef {{type: 'realtime', segmentId: number, sequence: number, stableText: string, unstableText: string,
 *            segment?: SegmentTimes}} Realtime
 * @typedef {{type: 'final', segmentId: number, text: string, segment?: SegmentTimes}} Final
 * @typedef {{type: 'closed', segmentId: number, reason: string}} Closed
 *   A `timeline` event `segment_closed`: no final will come. `reason` is `empty` or `no_speech` (nothing was said), or why
 *   words were lost: `failed`, `repetition`.
 * @typedef {{type: 'clear', nextSegmentId: number}} Clear
 * @typedef {{type: 'warning', message: string}} Warning
 * @typedef {{type: 'error', message: string, where: string}} ServerError
 * @typedef {{type: 'pong'}} Pong
 * @typedef {Hello | Ready | Status | Realtime | Final | Closed | Clear | Warning | ServerError | Pong} ServerEvent
 * @typedef {'start' | 'stop' | 'clear' | 'ping'} CommandName
 */

/**
 * @param {unknown} value
 * @returns {string} the value if it is a string, else ''
 */
const text = (value) => (typeof value === 'string' ? value : '');

/**
 * @param {unknown} value
 * @returns {SegmentTimes | undefined}
 */
const times = (value) => (typeof value === 'object' && value !== null ? value : undefined);

/**
 * A realtime event's two parts. A server that gives no split leaves everything provisional.
 *
 * @param {Record<string, unknown>} raw
 * @returns {{stableText: string, unstableText: string}}
 */
function splitOf(raw) {
  const stableText = text(raw.stableText) || text(raw.committedStableText);
  const unstableText = text(raw.visualUnstableText) || text(raw.unstableText);
  if (stableText || unstableText) return { stableText, unstableText };
  return { stableText: '', unstableText: text(raw.displayText) || text(raw.text) };
}

/** @type {Record<string, (raw: Record<string, unknown>) => ServerEvent | null>} */
const readers = {
  hello: (raw) => ({ type: 'hello', sessionId: text(raw.sessionId) }),
  ready: (raw) => ({ type: 'ready', ok: raw.ok !== false }),
  status: (raw) => ({ type: 'status', state: text(raw.state) }),
  realtime: (raw) =>
    Number.isInteger(raw.segmentId)
      ? {
          type: 'realtime',
          segmentId: Number(raw.segmentId),
          sequence: Number(raw.sequence) || 0,
          ...splitOf(raw),
          segment: times(raw.segment),
        }
      : null,
  final: (raw) =>
    Number.isInteger(raw.segmentId)
      ? { type: 'final', segmentId: Number(raw.segmentId), text: text(raw.text), segment: times(raw.segment) }
      : null,
  timeline: (raw) =>
    raw.event === 'segment_closed' && Number.isInteger(raw.segmentId)
      ? { type: 'closed', segmentId: Number(raw.segmentId), reason: text(raw.reason) }
      : null,
  clear: (raw) => ({ type: 'clear', nextSegmentId: Number(raw.nextSegmentId) || 0 }),
  warning: (raw) => ({ type: 'warning', message: text(raw.message) }),
  error: (raw) => ({ type: 'error', message: text(raw.message), where: text(raw.where) }),
  pong: () => ({ type: 'pong' }),
};

/**
 * Read one text frame.
 *
 * @param {string} frame
 * @returns {ServerEvent | null} null for what is no event of ours: newer servers may send more than we know
 */
export function parseEvent(frame) {
  /** @type {unknown} */
  let raw;
  try {
    raw = JSON.parse(frame);
  } catch {
    return null;
  }
  if (typeof raw !== 'object' || raw === null) return null;
  const fields = /** @type {Record<string, unknown>} */ (raw);
  const type = text(fields.type);
  return Object.hasOwn(readers, type) ? readers[type](fields) : null;
}

/**
 * @param {CommandName} type
 * @returns {string} the text frame
 */
export const encodeCommand = (type) => JSON.stringify({ type });
