/**
 * Exports the transcript as text or JSON, and as the utterances from which the server writes subtitles. Pure functions.
 */

import { lineOf } from './entries.js';

/** @import { SubtitleSegment } from '../connection/http-api.js' */
/** @import { SegmentTimes } from '../connection/protocol.js' */
/** @import { Block, Entry } from './entries.js' */

/** @typedef {'txt' | 'srt' | 'vtt' | 'json'} Format */
/** A gap between two sessions counts for at most this long in subtitles, whose times end at 100 hours: a transcript may last for weeks. */
const MAX_GAP_S = 3600;

/** @param {Entry[]} entries */
const blocksOf = (entries) => entries.filter((entry) => entry.kind === 'block');

/** @param {Block} block */
const wordsOf = ({ stable, unstable }) => (stable + unstable).replace(/\s+/g, ' ').trim();

/**
 * Wall-clock time of a session's first sample; where the server sends no audio positions, the start of its first recording.
 *
 * @param {Block[]} blocks of one session
 * @returns {number | undefined} seconds since the epoch
 */
function originOf(blocks) {
  const known = blocks.filter(({ times }) => times.recordingStartedAt !== undefined);
  const { times } = known.find(({ times: { audioStartSeconds } }) => audioStartSeconds !== undefined) ?? known[0] ?? {};
  return times?.recordingStartedAt === undefined ? undefined : times.recordingStartedAt - (times.audioStartSeconds ?? 0);
}

/**
 * @param {SegmentTimes} times
 * @returns {number} duration of the speech, seconds; 0 or less where it is unknown
 */
function spokenS({ audioStartSeconds, audioEndSeconds, durationSeconds, recordingStartedAt, recordingEndedAt }) {
  if (audioStartSeconds !== undefined && audioEndSeconds !== undefined) return audioEndSeconds - audioStartSeconds;
  return durationSeconds ?? (recordingEndedAt ?? 0) - (recordingStartedAt ?? 0);
}

/**
 * The utterances on one time axis for all sessions, from which the server writes subtitles.
 *
 * Positions start at 0 again with each session, so later sessions are shifted by the wall clock, and files, whose times have no
 * clock, follow what is before them.
 *
 * @param {Entry[]} entries oldest first
 * @returns {SubtitleSegment[]} one per block with words
 */
export function subtitleSegments(entries) {
  const blocks = blocksOf(entries).filter((block) => wordsOf(block));
  const firstKnown = blocks.find(({ times }) => times.recordingStartedAt !== undefined);
  const fileOriginS = originOf(blocks.filter(({ connection }) => connection === firstKnown?.connection)) ?? 0;
  /** @type {Map<number, number>} where position 0 of each session is */
  const shifts = new Map();
  let [reachedS, skippedS] = [0, 0];
  return blocks.map((block) => {
    const { recordingStartedAt, audioStartSeconds } = block.times;
    if (!shifts.has(block.connection)) {
      const originS = originOf(blocks.filter(({ connection }) => connection === block.connection));
      let shiftS = originS === undefined ? reachedS : Math.max(0, originS - fileOriginS - skippedS);
      const gapS = shiftS + (audioStartSeconds ?? 0) - reachedS;
      if (shifts.size > 0 && originS !== undefined && gapS > MAX_GAP_S) {
        skippedS += gapS - MAX_GAP_S;
        shiftS -= gapS - MAX_GAP_S;
      }
      shifts.set(block.connection, shiftS);
    }
    const shiftS = /** @type {number} */ (shifts.get(block.connection));
    let startS = reachedS;
    if (audioStartSeconds !== undefined) startS = shiftS + audioStartSeconds;
    else if (recordingStartedAt !== undefined) startS = recordingStartedAt - fileOriginS - skippedS;
    startS = Math.max(0, startS);
    const lengthS = spokenS(block.times);
    reachedS = Math.max(reachedS, startS + Math.max(0, lengthS));
    return {
      text: wordsOf(block),
      startSeconds: startS,
      ...(lengthS > 0 && { endSeconds: startS + lengthS }),
      ...(block.channel !== undefined && { channel: block.channel }),
      ...(block.pieces && {
        pieces: block.pieces.map((piece) => ({
          ...piece,
          startSeconds: piece.startSeconds + shiftS,
          endSeconds: piece.endSeconds + shiftS,
        })),
      }),
    };
  });
}

/**
 * Plain text: one line per block, and an empty line per break, or the name of the file that follows.
 *
 * @param {Entry[]} entries
 */
export function asText(entries) {
  const lines = entries.map((entry) => (entry.kind === 'block' ? lineOf(entry) : (entry.file ?? null))).filter((line) => line !== '');
  return `${lines.map((line) => line ?? '').join('\n')}\n`;
}

/** @param {number | undefined} seconds since the epoch */
const iso = (seconds) => (seconds === undefined ? null : new Date(seconds * 1000).toISOString());

/**
 * JSON with every known field; null for unknown ones.
 *
 * @param {Entry[]} entries
 */
export function asJson(entries) {
  const rows = entries.map((entry) => {
    if (entry.kind === 'break') return entry.file ? { kind: 'file', name: entry.file } : { kind: 'break', missedSeconds: entry.lostS };
    const { times } = entry;
    return {
      kind: 'segment',
      connection: entry.connection,
      segmentId: entry.segmentId,
      final: entry.phase === 'final',
      text: wordsOf(entry),
      startedAt: iso(times.recordingStartedAt),
      endedAt: iso(times.recordingEndedAt),
      durationSeconds: times.durationSeconds ?? null,
      preRollSeconds: times.preRollSeconds ?? null,
      wakeWord: times.wakeWord ?? null,
      wakeWordAt: iso(times.wakeWordAt),
      audioStartSeconds: times.audioStartSeconds ?? null,
      audioEndSeconds: times.audioEndSeconds ?? null,
      channel: entry.channel ?? null,
      pieces: entry.pieces ?? null,
    };
  });
  return `${JSON.stringify(rows, null, 2)}\n`;
}

/**
 * Media type of each format, and its writer here; the server writes subtitles.
 *
 * @type {Record<Format, {mimeType: string, write?: (entries: Entry[]) => string}>}
 */
export const FORMATS = {
  txt: { mimeType: 'text/plain', write: asText },
  srt: { mimeType: 'application/x-subrip' },
  vtt: { mimeType: 'text/vtt' },
  json: { mimeType: 'application/json', write: asJson },
};

/**
 * @param {Format} format
 * @param {Date} now the file is named by its local time
 * @returns {string} such as `transcript-2030-03-17-1746.srt`
 */
export function fileName(format, now) {
  const two = (/** @type {number} */ value) => String(value).padStart(2, '0');
  const day = `${now.getFullYear()}-${two(now.getMonth() + 1)}-${two(now.getDate())}`;
  return `transcript-${day}-${two(now.getHours())}${two(now.getMinutes())}.${format}`;
}
