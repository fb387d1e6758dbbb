/**
 * The texts of the event log. It holds no state and does not touch the DOM.
 */

import { secondsLabel } from '../shared/format.js';
import { closedReason, serverErrorMessage, warningMessage } from '../shared/messages.js';

/** @import { ConnectionState } from '../connection/server-connection.js' */
/** @import { LogKind, LogLine, LogTone } from './event-log.js' */
/** @import { SegmentTimes, ServerEvent, Timeline } from '../connection/protocol.js' */

/**
 * @param {LogKind} kind
 * @param {string} title
 * @param {string} [detail]
 * @param {LogTone} [tone]
 * @returns {LogLine}
 */
const line = (kind, title, detail = '', tone = 'info') => ({ kind, tone, title, detail });

/** @param {SegmentTimes} segment */
function durations({ durationSeconds, preRollSeconds }) {
  const parts = [];
  if (durationSeconds !== undefined) parts.push(secondsLabel(durationSeconds));
  if (preRollSeconds) parts.push(`${secondsLabel(preRollSeconds)} of pre-roll`);
  return parts.join(', ');
}

/** @type {Record<string, (event: Timeline) => LogLine>} */
const TIMELINE_LINES = {
  recording_started: ({ segmentId, segment }) => line('speech', `Utterance ${segmentId} began`, durations(segment)),
  recording_ended: ({ segmentId, segment }) => line('speech', `Utterance ${segmentId} ended`, durations(segment)),
  transcription_started: ({ segmentId }) => line('details', `Utterance ${segmentId}: transcribing`),
  wakeword_wait_started: () => line('wake', 'Waiting for the wake word'),
  wakeword_wait_ended: () => line('wake', 'Stopped waiting for the wake word'),
  wakeword_detected: ({ wakeWord }) => line('wake', 'Wake word detected', wakeWord && `“${wakeWord}”`, 'good'),
  wakeword_timeout: () => line('wake', 'No speech after the wake word', '', 'warning'),
  wakeword_followup_started: ({ durationSeconds }) =>
    line('wake', 'Listening without a wake word', durationSeconds === null ? '' : `for ${secondsLabel(durationSeconds)}`),
  wakeword_followup_timeout: () => line('wake', 'No more speech: a wake word is needed again'),
};

/**
 * @param {ServerEvent} event
 * @returns {LogLine | null} null for an event that another event already reports
 */
export function logLine(event) {
  switch (event.type) {
    case 'hello':
      return line('server', 'Connected', event.sessionId && `session ${event.sessionId.slice(0, 8)}`, 'good');
    case 'resumed': {
      const lost = event.missedEvents > 0 ? `, ${event.missedEvents} messages lost` : '';
      return line('server', 'Reconnected', `the session continues${lost}`, 'good');
    }
    case 'ready':
      return event.ok ? line('server', 'Speech model ready', '', 'good') : line('trouble', 'The speech engine failed to start', '', 'error');
    case 'timeline':
      return Object.hasOwn(TIMELINE_LINES, event.event) ? TIMELINE_LINES[event.event](event) : null;
    case 'realtime': {
      const took = event.latencyS === null ? '' : ` after ${Math.round(event.latencyS * 1000)} ms`;
      return line('details', `Utterance ${event.segmentId}: words${took}`, (event.stableText + event.unstableText).trim());
    }
    case 'retracted':
      return line('details', `Utterance ${event.segmentId}: words withdrawn`);
    case 'final':
      return line('speech', `Utterance ${event.segmentId}: final text`, event.text, 'good');
    case 'turn_resumed':
      return line('speech', `Utterance ${event.segmentId} goes on`);
    case 'closed': {
      const tone = event.reason === 'failed' || event.reason === 'repetition' ? 'warning' : 'info';
      return line('speech', `Utterance ${event.segmentId}: no text`, `${closedReason(event.reason)}.`, tone);
    }
    case 'heartbeat': {
      const busy = `engine time ${Math.round(event.realTimeFactor * 100)} % of its length`;
      const queue = `last queue delay ${Math.round(event.queueDelayMs)} ms`;
      return line('details', 'Heartbeat', `${secondsLabel(event.audioReceivedSeconds)} of audio received, ${busy}, ${queue}`);
    }
    case 'clear':
      return line('speech', 'Cleared');
    case 'warning':
      return line('trouble', 'Warning', warningMessage(event.message).text, 'warning');
    case 'error':
      return line('trouble', 'Error', serverErrorMessage(event).text, 'error');
    default:
      return null;
  }
}

/**
 * @param {ConnectionState['phase']} before
 * @param {ConnectionState} connection
 * @returns {LogLine | null} null for a change that the server's events report
 */
export function connectionLine(before, { phase, isFull }) {
  if (phase === 'locked' && before !== 'locked') return line('server', 'The server requires a key', '', 'warning');
  if (phase !== 'waiting' || before === 'waiting') return null;
  if (isFull) return line('server', 'The server is full', '', 'warning');
  return before === 'open' ? line('server', 'Connection lost', '', 'error') : line('server', 'The server does not respond', '', 'warning');
}
