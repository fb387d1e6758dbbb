/**
 * The timeline in words: what was at one moment, and what the picture shows altogether.
 * It must not keep state, draw, or read a clock.
 */

import { secondsLabel } from '../shared/messages.js';
import { LANES } from './timeline.js';

/** @import { Lane, Span, Timeline } from './timeline.js' */

/** How far around the pointer something short is still found, as a part of what is in sight. */
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
 * @param {{atS: number, spanS: number, nowS: number}} view the moment, how much is in sight, and the time
 * @returns {{lane: Lane, label: string}[]} what was there, from top to bottom: of each lane what began last, and its nearest instant
 */
export function momentAt({ spans, marks }, { atS, spanS, nowS }) {
  const reachS = spanS * REACH;
  return LANES.flatMap(({ lane }) => {
    const span = spans.findLast(
      (each) => each.lane === lane && each.fromS <= atS + reachS && (each.toS ?? nowS) >= atS - reachS,
    );
    const [mark] = marks
      .filter((each) => each.lane === lane && Math.abs(each.atS - atS) <= reachS)
      .sort((a, b) => Math.abs(a.atS - atS) - Math.abs(b.atS - atS));
    const labels = [span && `${span.label} (${lengthLabel(span, nowS)})`, mark?.label];
    return labels.filter((label) => label !== undefined).map((label) => ({ lane, label }));
  });
}

/**
 * @param {Timeline} timeline
 * @param {{spanS: number, nowS: number}} view
 * @returns {string} the picture in a sentence
 */
export function summary({ spans, marks }, { spanS, nowS }) {
  const oldestS = nowS - spanS;
  const inSight = spans.filter(({ toS }) => (toS ?? nowS) >= oldestS);
  const recordings = inSight.filter(({ lane }) => lane === 'recording');
  const recordedS = recordings.reduce((sum, { fromS, toS }) => sum + (toS ?? nowS) - Math.max(fromS, oldestS), 0);
  const finals = inSight.filter(({ lane, tone }) => lane === 'recognition' && tone === 'good').length;
  const woken = marks.filter(({ lane, tone, atS }) => lane === 'wake' && tone === 'good' && atS >= oldestS).length;
  const parts = [];
  if (woken > 0) parts.push(count(woken, 'wake word'));
  if (recordings.length > 0) parts.push(`${count(recordings.length, 'recording')} of ${secondsLabel(recordedS)} in all`);
  if (finals > 0) parts.push(count(finals, 'final text'));
  return parts.length > 0 ? `${parts.join(', ')}.` : 'Nothing was recorded.';
}
