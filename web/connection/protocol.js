/**
 * The wire messages that this page understands: their types, and the reading of one text frame.
 * It must not keep state, touch the DOM or decide what an event means for the reader.
 *
 * Names that end in `At` are seconds since the epoch on the server's clock. What a server does not tell is absent.
 *
 * @typedef {object} SegmentTimes
 * @property {number} [recordingStartedAt]
 * @property {number} [recordingEndedAt]
 * @property {number} [durationSeconds] from where speech was detected to the end of the recording
 * @property {number} [preRollSeconds] sound kept from before speech was detected
 * @property {number} [wakeWordAt] when the wake word that led to it was heard
 * @property {string} [wakeWord] which one
 * @property {number} [audioStartSeconds] where its speech lies in the sound sent since connecting
 * @property {number} [audioEndSeconds]
 *
 * @typedef {{type: 'auth_required'}} AuthRequired a key must be shown before anything else
 * @typedef {{type: 'hello', sessionId: string, resumeToken: string, resumeGraceS: number}} Hello `resumeToken` is empty
 *   where the server does not keep sessions
 * @typedef {{type: 'resumed', sessionId: string, receivedPackets: number, receivedCommands: number, missedEvents: number,
 *            recoveredS: number}} Resumed the session goes on; `recoveredS`: sound of what we send now that had been shed
 * @typedef {{type: 'ready', ok: boolean}} Ready
 * @typedef {{type: 'status', state: string, at: number | null, queueDepth: number, degraded: boolean,
 *            wakeWords: string}} Status `wakeWords` is empty where none are listened for
 * @typedef {{type: 'realtime', segmentId: number, sequence: number, stableText: string, unstableText: string,
 *            isDoubtful: boolean, at: number | null, latencyS: number | null, segment: SegmentTimes}} Realtime
 *   `isDoubtful`: what was heard last contradicts what is shown. `latencyS` is what queue and engine took for these words.
 * @typedef {{type: 'final', segmentId: number, text: string, at: number | null, segment: SegmentTimes}} Final
 * @typedef {{type: 'closed', segmentId: number, reason: string, at: number | null, segment: SegmentTimes}} Closed
 *   A `timeline` event `segment_closed`: no final will come. `reason` is `empty` or `no_speech` (nothing was said), or why
 *   words were lost: `failed`, `repetition`.
 * @typedef {{type: 'timeline', event: string, at: number | null, segmentId: number | null, segment: SegmentTimes,
 *            durationSeconds: number | null, wakeWord: string}} Timeline any other `timeline` event
 * @typedef {{type: 'heartbeat', audioReceivedSeconds: number, realTimeFactor: number, queueDelayMs: number}} Heartbeat
 * @typedef {{type: 'clear', nextSegmentId: number}} Clear
 * @typedef {{type: 'warning', message: string}} Warning
 * @typedef {{type: 'error', message: string, where: string}} ServerError
 * @typedef {{type: 'pong'}} Pong
 * @typedef {AuthRequired | Hello | Resumed | Ready | Status | Realtime | Final | Closed | Timeline | Heartbeat | Clear
 *           | Warning | ServerError | Pong} Told
 * @typedef {Told & {seq?: number}} ServerEvent `seq` numbers the events of a session
 * @typedef {'start' | 'stop' | 'clear' | 'ping'} CommandName
 */

/** @typedef {Record<string, unknown>} Raw */

/**
 * @param {unknown} value
 * @returns {string} the value if it is a string, else ''
 */
const text = (value) => (typeof value === 'string' ? value : '');

/**
 * @param {unknown} value
 * @returns {number | null} the value if it is a finite number
 */
const figure = (value) => (typeof value === 'number' && Number.isFinite(value) ? value : null);

/**
 * @param {unknown} value
 * @returns {Raw} the value if it is an object, else an empty one
 */
const fieldsOf = (value) => (typeof value === 'object' && value !== null ? /** @type {Raw} */ (value) : {});

/**
 * @param {unknown} value a `segment`
 * @returns {SegmentTimes}
 */
function times(value) {
  const raw = fieldsOf(value);
  const wakeWord = fieldsOf(raw.wakeWord);
  const known = {
    recordingStartedAt: figure(raw.recordingStartedAt),
    recordingEndedAt: figure(raw.recordingEndedAt),
    durationSeconds: figure(raw.durationSeconds),
    preRollSeconds: figure(fieldsOf(raw.preRecordingBuffer).includedSeconds),
    wakeWordAt: figure(wakeWord.detectedAt),
    wakeWord: text(wakeWord.word) || null,
    audioStartSeconds: figure(raw.audioStartSeconds),
    audioEndSeconds: figure(raw.audioEndSeconds),
  };
  return Object.fromEntries(Object.entries(known).filter(([, each]) => each !== null));
}

/**
 * A realtime event's two parts. A server that gives no split leaves everything provisional.
 *
 * @param {Raw} raw
 * @returns {{stableText: string, unstableText: string}}
 */
function splitOf(raw) {
  const stableText = text(raw.stableText) || text(raw.committedStableText);
  const unstableText = text(raw.visualUnstableText) || text(raw.unstableText);
  if (stableText || unstableText) return { stableText, unstableText };
  return { stableText: '', unstableText: text(raw.displayText) || text(raw.text) };
}

/**
 * @param {Raw} raw
 * @returns {Closed | Timeline | null}
 */
function readTimeline(raw) {
  const segmentId = Number.isInteger(raw.segmentId) ? Number(raw.segmentId) : null;
  const segment = times(raw.segment);
  const at = figure(raw.timestamp);
  if (raw.event === 'segment_closed') {
    return segmentId === null ? null : { type: 'closed', segmentId, reason: text(raw.reason), at, segment };
  }
  return {
    type: 'timeline',
    event: text(raw.event),
    at,
    segmentId,
    segment,
    durationSeconds: figure(raw.durationSeconds),
    wakeWord: text(fieldsOf(raw.wakeWord).word),
  };
}

/** @type {Record<string, (raw: Raw) => Told | null>} */
const readers = {
  auth_required: () => ({ type: 'auth_required' }),
  hello: (raw) => ({
    type: 'hello',
    sessionId: text(raw.sessionId),
    resumeToken: text(raw.resumeToken),
    resumeGraceS: figure(raw.resumeGraceSeconds) ?? 0,
  }),
  resumed: (raw) => ({
    type: 'resumed',
    sessionId: text(raw.sessionId),
    receivedPackets: figure(raw.receivedPackets) ?? 0,
    receivedCommands: figure(raw.receivedCommands) ?? 0,
    missedEvents: figure(raw.missedEvents) ?? 0,
    recoveredS: 0,
  }),
  ready: (raw) => ({ type: 'ready', ok: raw.ok !== false }),
  status: (raw) => ({
    type: 'status',
    state: text(raw.state),
    at: figure(raw.timestamp),
    queueDepth: figure(raw.queueDepth) ?? 0,
    degraded: raw.degraded === true,
    wakeWords: raw.wakeWordEnabled === true ? text(fieldsOf(raw.wakeWord).wakeWords) : '',
  }),
  realtime: (raw) =>
    Number.isInteger(raw.segmentId)
      ? {
          type: 'realtime',
          segmentId: Number(raw.segmentId),
          sequence: Number(raw.sequence) || 0,
          ...splitOf(raw),
          isDoubtful: raw.isOutlier === true || raw.stablePrefixConflict === true,
          at: figure(raw.timestamp),
          latencyS: figure(fieldsOf(raw.timing).total_latency_seconds),
          segment: times(raw.segment),
        }
      : null,
  final: (raw) =>
    Number.isInteger(raw.segmentId)
      ? {
          type: 'final',
          segmentId: Number(raw.segmentId),
          text: text(raw.text),
          at: figure(raw.timestamp),
          segment: times(raw.segment),
        }
      : null,
  timeline: readTimeline,
  heartbeat: (raw) => ({
    type: 'heartbeat',
    audioReceivedSeconds: figure(raw.audioReceivedSeconds) ?? 0,
    realTimeFactor: figure(raw.realTimeFactor) ?? 0,
    queueDelayMs: figure(raw.queueDelayMs) ?? 0,
  }),
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
  const fields = fieldsOf(raw);
  const type = text(fields.type);
  const event = Object.hasOwn(readers, type) ? readers[type](fields) : null;
  const seq = figure(fields.seq);
  return event && seq !== null ? { ...event, seq } : event;
}

/**
 * @param {CommandName} type
 * @returns {string} the text frame
 */
export const encodeCommand = (type) => JSON.stringify({ type });

/**
 * @param {string} key
 * @returns {string} the text frame
 */
export const encodeAuth = (key) => JSON.stringify({ type: 'auth', key });

/**
 * @param {string} token
 * @param {number} seq of the last event that we have
 * @returns {string} the text frame
 */
export const encodeResume = (token, seq) => JSON.stringify({ type: 'resume', token, seq });
