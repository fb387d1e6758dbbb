/**
 * The entries of a transcript: blocks of speech and breaks between them, and a block as one line of text. Types and pure functions.
 */

/** @import { Piece, SegmentTimes } from '../connection/protocol.js' */
/** @import { SpokenText } from '../files/upload.js' */

/**
 * @typedef {'live' | 'final' | 'lost'} BlockPhase
 *   `live`: words may still change; `final`: they will not; `lost`: there will be no final text.
 *
 * @typedef {'' | 'failed' | 'repetition' | 'disconnected' | 'closed' | 'unknown'} LossReason '' unless the phase is `lost`; `closed`:
 *   the page was
 *
 * @typedef {object} Block
 * @property {'block'} kind
 * @property {string} key unique in this page
 * @property {number} connection number of the session in this page, from 1
 * @property {number} segmentId the server's, unique within one session
 * @property {BlockPhase} phase
 * @property {string} stable words that will not change; all words once final
 * @property {string} unstable words that may still change, with their leading space
 * @property {boolean} isUncertain the newest hypothesis contradicts them
 * @property {LossReason} loss
 * @property {SegmentTimes} times those known so far
 * @property {Piece[]} [pieces] words with their times, once final, where the engine gives them
 * @property {number} [channel] the channel of a file that it was spoken on, from 1, where each channel has a speaker of its own
 *
 * @typedef {object} Break a session was lost here, or the page was opened again
 * @property {'break'} kind
 * @property {string} key
 * @property {number} lostS audio that could not be sent meanwhile, seconds
 * @property {number} [openedAtMs] when the page was opened again
 * @property {string} [file] name of the file whose text follows
 * @property {number} [connection] number of that file, as its blocks have it
 *
 * @typedef {Block | Break} Entry
 * @typedef {{type: 'put', entry: Entry, beforeKey: string | null} | {type: 'remove', key: string} | {type: 'reset'}} Change
 *   `put` replaces the entry of the same key, or adds a new one before the entry with `beforeKey`, by default at the end.
 */

/** @param {number | undefined} channel @returns {string} such as `Speaker 2`; '' where channels are mixed */
export const speakerName = (channel) => (channel === undefined ? '' : `Speaker ${channel}`);

/** @param {Block} block @returns {string} its words in one line, after the name of their speaker */
export function lineOf({ stable, unstable, channel }) {
  const words = (stable + unstable).replace(/\s+/g, ' ').trim();
  return words && channel !== undefined ? `${speakerName(channel)}: ${words}` : words;
}

/** @param {readonly Entry[]} entries @returns {string} one line per block */
export const textOf = (entries) =>
  entries
    .map((entry) => (entry.kind === 'block' ? lineOf(entry) : ''))
    .filter(Boolean)
    .join('\n');

/**
 * @param {number} connection of a file
 * @param {number} segmentId
 * @param {SpokenText} spoken one utterance of it
 * @returns {Block}
 */
export function spokenBlock(connection, segmentId, { text, startS, endS, pieces, channel }) {
  return {
    kind: 'block',
    key: `${connection}-${segmentId}`,
    connection,
    segmentId,
    phase: 'final',
    stable: text,
    unstable: '',
    isUncertain: false,
    loss: '',
    times: { audioStartSeconds: startS, audioEndSeconds: endS, durationSeconds: endS - startS },
    ...(pieces && { pieces }),
    ...(channel && { channel }),
  };
}
