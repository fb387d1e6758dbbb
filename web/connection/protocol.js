/**
 * The protocol messages that the page uses: their types, parsing of events, and encoding of commands.
 * It holds no state and does not interpret events.
 *
 * Names that end in `At` are seconds since the epoch on the server's clock. Fields that the server does not send are absent.
 *
 * @typedef {object} SegmentTimes
 * @property {number} [recordingStartedAt]
 * @property {number} [recordingEndedAt]
 * @property {number} [durationSeconds] from the start of speech to the end of the recording
 * @property {number} [preRollSeconds] audio kept from before speech was detected
 * @property {number} [wakeWordAt] when the wake word before it was detected
 * @property {string} [wakeWord]
 * @property {number} [audioStartSeconds] position of its speech in the audio sent in this session
 * @property {number} [audioEndSeconds]
 *
 * @typedef {{text: string, startSeconds: number, endSeconds: number, confidence?: number}} Piece a word or phrase of a final
 *
 * @typedef {object} ServerFacts what the session's settings say
 * @property {string | null} language code of the language that is spoken, '' where the model decides; null where the server does
 *   not tell
 * @property {string} wakeWords separated by commas, '' where there are none
 * @property {boolean} keepsSound whether the server records what is said
 * @property {number} maxUploadBytes of a file; 0 where the server takes none, Infinity where it does not tell
 *
 * @typedef {{type: 'auth_required'}} AuthRequired the client must send a key before anything else
 * @typedef {{type: 'hello', sessionId: string, resumeToken: string, resumeGraceS: number, server: ServerFacts, replacesFrom: number}} Hello
 *   `resumeToken` is empty where the server does not keep sessions after a loss. `replacesFrom`: first segment of the session before
 *   whose audio this one gets again, Infinity for none; set by the page
 * @typedef {{type: 'resumed', sessionId: string, receivedPackets: number, receivedCommands: number, missedEvents: number,
 *            recoveredS: number}} Resumed the session continues; `recoveredS`: shed audio that is sent now after all
 * @typedef {{type: 'ready', ok: boolean}} Ready
 * @typedef {{type: 'status', state: string, at: number | null, queueDepth: number, degraded: boolean,
 *            wakeWords: string}} Status `wakeWords` is empty where wake words are off
 * @typedef {{type: 'realtime', segmentId: number, sequence: number, stableText: string, unstableText: string,
 *            isUncertain: boolean, at: number | null, latencyS: number | null, audioEndS: number, segment: SegmentTimes}} Realtime
 *   `isUncertain`: the newest hypothesis contradicts the words shown. `latencyS` is the time these words took in queue and engine,
 *   `audioEndS` where their audio ends, Infinity where the server does not tell.
 * @typedef {{type: 'retracted', segmentId: number}} Retracted A `realtime` event that withdraws the words of a segment; `closed`,
 *   which says why, follows
 * @typedef {{type: 'final', segmentId: number, text: string, at: number | null, segment: SegmentTimes, pieces?: Piece[]}} Final
 * @typedef {{type: 'turn_resumed', segmentId: number}} TurnResumed speech goes on after a final, which another will replace
 * @typedef {{type: 'closed', segmentId: number, reason: string, at: number | null, segment: SegmentTimes}} Closed
 *   A `timeline` event `segment_closed`: no final will come. `reason` is `empty` or `no_speech` where there were no words, else
 *   `failed` or `repetition`.
 * @typedef {{type: 'timeline', event: string, at: number | null, segmentId: number | null, segment: SegmentTimes,
 *            durationSeconds: number | null, wakeWord: string}} Timeline any other `timeline` event
 * @typedef {{type: 'heartbeat', audioReceivedSeconds: number, realTimeFactor: number, queueDelayMs: number}} Heartbeat
 * @typedef {{type: 'clear', nextSegmentId: number}} Clear
 * @typedef {{type: 'warning', message: string}} Warning
 * @typedef {{type: 'error', message: string, where: string}} ServerError
 * @typedef {{type: 'pong'}} Pong
 * @typedef {AuthRequired | Hello | Resumed | Ready | Status | Realtime | Retracted | Final | TurnResumed | Closed | Timeline | Heartbeat | Clear
 *           | Warning | ServerError | Pong} AnyEvent
 * @typedef {AnyEvent & {seq?: number}} ServerEvent `seq` is its number in the session
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
const finiteNumber = (value) => (typeof value === 'number' && Number.isFinite(value) ? value : null);

/**
 * @param {unknown} value
 * @returns {Raw} the value if it is an object, else an empty one
 */
const fieldsOf = (value) => (typeof value === 'object' && value !== null ? /** @type {Raw} */ (value) : {});

/**
 * @param {unknown} value a `segment`
 * @returns {SegmentTimes}
 */
function segmentTimes(value) {
  const raw = fieldsOf(value);
  const wakeWord = fieldsOf(raw.wakeWord);
  const known = {
    recordingStartedAt: finiteNumber(raw.recordingStartedAt),
    recordingEndedAt: finiteNumber(raw.recordingEndedAt),
    durationSeconds: finiteNumber(raw.durationSeconds),
    preRollSeconds: finiteNumber(fieldsOf(raw.preRecordingBuffer).includedSeconds),
    wakeWordAt: finiteNumber(wakeWord.detectedAt),
    wakeWord: text(wakeWord.word) || null,
    audioStartSeconds: finiteNumber(raw.audioStartSeconds),
    audioEndSeconds: finiteNumber(raw.audioEndSeconds),
  };
  return Object.fromEntries(Object.entries(known).filter(([, each]) => each !== null));
}

/**
 * @param {unknown} value the `pieces` of a final
 * @returns {{pieces?: Piece[]}} empty where the engine gives none
 */
function piecesOf(value) {
  const known = (Array.isArray(value) ? value : []).map(fieldsOf).flatMap(({ text: words, startSeconds, endSeconds, confidence }) => {
    const [start, end, sure] = [finiteNumber(startSeconds), finiteNumber(endSeconds), finiteNumber(confidence)];
    if (typeof words !== 'string' || start === null || end === null) return [];
    return [{ text: words, startSeconds: start, endSeconds: end, ...(sure !== null && { confidence: sure }) }];
  });
  return known.length > 0 ? { pieces: known } : {};
}

/**
 * The stable and unstable text of a `realtime` event. Without a split, all text is unstable.
 *
 * @param {Raw} raw
 * @returns {{stableText: string, unstableText: string}}
 */
function splitText(raw) {
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
  const segment = segmentTimes(raw.segment);
  const at = finiteNumber(raw.timestamp);
  if (raw.event === 'segment_closed') {
    return segmentId === null ? null : { type: 'closed', segmentId, reason: text(raw.reason), at, segment };
  }
  return {
    type: 'timeline',
    event: text(raw.event),
    at,
    segmentId,
    segment,
    durationSeconds: finiteNumber(raw.durationSeconds),
    wakeWord: text(fieldsOf(raw.wakeWord).word),
  };
}

/**
 * @param {Raw} settings
 * @returns {ServerFacts}
 */
function serverFacts(settings) {
  const language = text(settings.language).trim();
  return {
    language: typeof settings.language !== 'string' ? null : language.toLowerCase() === 'auto' ? '' : language,
    wakeWords: settings.wake_word_enabled === true ? text(settings.wake_words) : '',
    keepsSound: text(settings.record) !== '',
    maxUploadBytes: settings.openai_api === false ? 0 : (finiteNumber(settings.max_upload_bytes) ?? Infinity),
  };
}

/** @type {Record<string, (raw: Raw) => AnyEvent | null>} */
const readers = {
  auth_required: () => ({ type: 'auth_required' }),
  hello: (raw) => ({
    type: 'hello',
    sessionId: text(raw.sessionId),
    resumeToken: text(raw.resumeToken),
    resumeGraceS: finiteNumber(raw.resumeGraceSeconds) ?? 0,
    server: serverFacts(fieldsOf(raw.settings)),
    replacesFrom: Infinity,
  }),
  resumed: (raw) => ({
    type: 'resumed',
    sessionId: text(raw.sessionId),
    receivedPackets: finiteNumber(raw.receivedPackets) ?? 0,
    receivedCommands: finiteNumber(raw.receivedCommands) ?? 0,
    missedEvents: finiteNumber(raw.missedEvents) ?? 0,
    recoveredS: 0,
  }),
  ready: (raw) => ({ type: 'ready', ok: raw.ok !== false }),
  status: (raw) => ({
    type: 'status',
    state: text(raw.state),
    at: finiteNumber(raw.timestamp),
    queueDepth: finiteNumber(raw.queueDepth) ?? 0,
    degraded: raw.degraded === true,
    wakeWords: raw.wakeWordEnabled === true ? text(fieldsOf(raw.wakeWord).wakeWords) : '',
  }),
  realtime(raw) {
    if (!Number.isInteger(raw.segmentId)) return null;
    const segmentId = Number(raw.segmentId);
    if (raw.retracted === true) return { type: 'retracted', segmentId };
    return {
      type: 'realtime',
      segmentId,
      sequence: Number(raw.sequence) || 0,
      ...splitText(raw),
      isUncertain: raw.isOutlier === true || raw.stablePrefixConflict === true,
      at: finiteNumber(raw.timestamp),
      latencyS: finiteNumber(fieldsOf(raw.timing).total_latency_seconds),
      audioEndS: finiteNumber(raw.audioEndSeconds) ?? Infinity,
      segment: segmentTimes(raw.segment),
    };
  },
  final: (raw) =>
    Number.isInteger(raw.segmentId)
      ? {
          type: 'final',
          segmentId: Number(raw.segmentId),
          text: text(raw.text),
          at: finiteNumber(raw.timestamp),
          segment: segmentTimes(raw.segment),
          ...piecesOf(raw.pieces),
        }
      : null,
  turn_resumed: (raw) => (Number.isInteger(raw.segmentId) ? { type: 'turn_resumed', segmentId: Number(raw.segmentId) } : null),
  timeline: readTimeline,
  heartbeat: (raw) => ({
    type: 'heartbeat',
    audioReceivedSeconds: finiteNumber(raw.audioReceivedSeconds) ?? 0,
    realTimeFactor: finiteNumber(raw.realTimeFactor) ?? 0,
    queueDelayMs: finiteNumber(raw.queueDelayMs) ?? 0,
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
 * @returns {ServerEvent | null} null for a malformed or unknown event; newer servers may send more
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
  const seq = finiteNumber(fields.seq);
  return event && seq !== null ? { ...event, seq } : event;
}

/**
 * @param {CommandName} type
 * @returns {string} the text frame
 */
export const encodeCommand = (type) => JSON.stringify({ type });

/**
 * @param {string | null | undefined} language code, null for the server's setting, undefined to leave it as it is
 * @returns {string} the text frame of `start`
 */
export const encodeStart = (language) => JSON.stringify({ type: 'start', language });

/**
 * @param {string} key
 * @returns {string} the text frame
 */
export const encodeAuth = (key) => JSON.stringify({ type: 'auth', key });

/**
 * @param {string} token
 * @param {number} seq of the last event received
 * @returns {string} the text frame
 */
export const encodeResume = (token, seq) => JSON.stringify({ type: 'resume', token, seq });
