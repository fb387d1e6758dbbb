/**
 * Exports the transcript as text, SubRip, WebVTT or JSON. Pure functions from entries to file contents.
 */

/** @import { SegmentTimes } from '../connection/protocol.js' */
/** @import { Block, Entry } from './transcript.js' */

/** @typedef {'txt' | 'srt' | 'vtt' | 'json'} Format */
/** @typedef {{startS: number, endS: number, text: string}} Cue seconds from the start of the file */

/** Length of a cue whose end is unknown: subtitles are read at 15 to 20 characters a second. */
const SECONDS_PER_CHARACTER = 0.06;
const MIN_CUE_S = 0.5;

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
 * Subtitle cues on one time axis for all sessions.
 *
 * Within a session, a cue starts at the position of its speech in the audio that was sent. Positions start at 0 again with each
 * session, so later sessions are shifted by the wall clock, and files follow what is before them. No cue starts before the one in front of it.
 *
 * @param {Entry[]} entries oldest first
 * @returns {Cue[]} one per block with words
 */
export function cuesOf(entries) {
  const blocks = blocksOf(entries);
  const connections = [...new Set(blocks.map(({ connection }) => connection))];
  const origins = new Map(connections.map((each) => [each, originOf(blocks.filter(({ connection }) => connection === each))]));
  const fileOriginS = [...origins.values()].find((origin) => origin !== undefined) ?? 0;
  /** @type {Map<number, number>} where the first cue of a sound file starts, whose times have no clock */
  const fileStarts = new Map();
  /** @type {Cue[]} */
  const cues = [];
  for (const block of blocks) {
    const text = wordsOf(block);
    const { recordingStartedAt, audioStartSeconds } = block.times;
    const previous = cues.at(-1);
    let startS = previous?.endS ?? 0;
    if (recordingStartedAt !== undefined) startS = recordingStartedAt - fileOriginS;
    if (audioStartSeconds !== undefined) {
      const origin = origins.get(block.connection);
      if (origin === undefined && !fileStarts.has(block.connection)) fileStarts.set(block.connection, previous?.endS ?? 0);
      startS = audioStartSeconds + (origin === undefined ? (fileStarts.get(block.connection) ?? 0) : origin - fileOriginS);
    }
    startS = Math.max(startS, previous?.startS ?? 0);
    const lengthS = spokenS(block.times);
    const endS = startS + Math.max(MIN_CUE_S, lengthS > 0 ? lengthS : text.length * SECONDS_PER_CHARACTER);
    // Players show one cue at a time, so a cue ends where the next one starts.
    if (previous) previous.endS = Math.max(previous.startS + 0.001, Math.min(previous.endS, startS));
    if (text) cues.push({ startS, endS, text });
  }
  return cues;
}

/**
 * @param {number} seconds 0 or more
 * @param {',' | '.'} separator before the milliseconds
 * @returns {string} such as `01:02:03,004`
 */
function timestamp(seconds, separator) {
  const totalMs = Math.round(seconds * 1000);
  const two = (/** @type {number} */ value) => String(Math.floor(value)).padStart(2, '0');
  const [hours, minutes, rest] = [totalMs / 3_600_000, (totalMs / 60_000) % 60, (totalMs / 1000) % 60];
  return `${two(hours)}:${two(minutes)}:${two(rest)}${separator}${String(totalMs % 1000).padStart(3, '0')}`;
}

/** @param {string} text */
const escaped = (text) => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');

/**
 * Plain text: one line per block, and an empty line per break, or the name of the file that follows.
 *
 * @param {Entry[]} entries
 */
export function asText(entries) {
  const lines = entries.map((entry) => (entry.kind === 'block' ? wordsOf(entry) : (entry.file ?? null))).filter((line) => line !== '');
  return `${lines.map((line) => line ?? '').join('\n')}\n`;
}

/**
 * SubRip. Players would read a text with its arrow as a time line, so the arrow is replaced.
 *
 * @param {Entry[]} entries
 */
export const asSrt = (entries) =>
  cuesOf(entries)
    .map(
      ({ startS, endS, text }, i) =>
        `${i + 1}\n${timestamp(startS, ',')} --> ${timestamp(endS, ',')}\n${text.replaceAll('-->', '→')}\n`,
    )
    .join('\n');

/**
 * WebVTT, with markup characters escaped.
 *
 * @param {Entry[]} entries
 */
export const asVtt = (entries) =>
  `WEBVTT\n${cuesOf(entries)
    .map(({ startS, endS, text }) => `\n${timestamp(startS, '.')} --> ${timestamp(endS, '.')}\n${escaped(text)}\n`)
    .join('')}`;

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
    };
  });
  return `${JSON.stringify(rows, null, 2)}\n`;
}

/** @type {Record<Format, {mimeType: string, write: (entries: Entry[]) => string}>} */
export const FORMATS = {
  txt: { mimeType: 'text/plain', write: asText },
  srt: { mimeType: 'application/x-subrip', write: asSrt },
  vtt: { mimeType: 'text/vtt', write: asVtt },
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
