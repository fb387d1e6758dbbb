/**
 * The timeline as text: the events at one moment, and a summary of the whole range.
 * It holds no state and does not draw or read a clock.
 */

import { secondsLabel } from '../shared/format.js';
import { TRACKS } from './timeline.js';

/** @import { Track, Span, Timeline } from './timeline.js' */

/** Distance from the pointer up to which an event is found, as a part of the range. */
const REACH = 0.012;

/**
 * @param {Span} span
 * @param {number} nowS
 */
const lengthLabel = ({ fromS, toS }, nowS) =>
  toS === null ? `${secondsLabel(nowS - fromS)} so far` : secondsLabel(toS - fromS);

/**
 * @param {number} number
 * @param {string} noun
 */
const count = (number, noun) => `${number} ${noun}${number === 1 ? '' : 's'}`;

/**
 * @param {Timeline} timeline
 * @param {{atS: number, rangeS: number, nowS: number}} view the moment, the range, and the present
 * @returns {{track: Track, label: string}[]} from top to bottom: of each track the span that began last, and the nearest mark
 */
export function eventsAt({ spans, marks }, { atS, rangeS, nowS }) {
  const reachS = rangeS * REACH;
  return TRACKS.flatMap(({ track }) => {
    const span = spans.findLast(
      (each) => each.track === track && each.fromS <= atS + reachS && (each.toS ?? nowS) >= atS - reachS,
    );
    const [mark] = marks
      .filter((each) => each.track === track && Math.abs(each.atS - atS) <= reachS)
      .sort((a, b) => Math.abs(a.atS - atS) - Math.abs(b.atS - atS));
    const labels = [span && `${span.label} (${lengthLabel(span, nowS)})`, mark?.label];
    return labels.filter((label) => label !== undefined).map((label) => ({ track, label }));
  });
}

/**
 * @param {Timeline} timeline
 * @param {{rangeS: number, nowS: number}} view
 * @returns {string} one sentence
 */
export function summary({ spans, marks }, { rangeS, nowS }) {
  const startS = nowS - rangeS;
  const visible = spans.filter(({ toS }) => (toS ?? nowS) >= startS);
  const recordings = visible.filter(({ track }) => track === 'recording');
  const recordedS = recordings.reduce((sum, { fromS, toS }) => sum + (toS ?? nowS) - Math.max(fromS, startS), 0);
  const finals = visible.filter(({ track, tone }) => track === 'recognition' && tone === 'good').length;
  const wakeWords = marks.filter(({ track, tone, atS }) => track === 'wake' && tone === 'good' && atS >= startS).length;
  const parts = [];
  if (wakeWords > 0) parts.push(count(wakeWords, 'wake word'));
  if (recordings.length > 0) parts.push(`${count(recordings.length, 'utterance')}, ${secondsLabel(recordedS)} in total`);
  if (finals > 0) parts.push(count(finals, 'final text'));
  return parts.length > 0 ? `${parts.join(', ')}.` : 'Nothing was said.';
}
