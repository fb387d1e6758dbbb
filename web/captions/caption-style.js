/**
 * The look of the captions view, from the query of its address. Pure; a value that is not valid has no effect.
 */

/** @typedef {{variables: Record<string, string>, isTransparent: boolean, holdS: number, startsTalking: boolean}} CaptionStyle */

const PLACES = { top: 'start', middle: 'center', bottom: 'end' };
const ALIGNMENTS = new Set(['left', 'center', 'right']);

/** How long the last words stay in silence, seconds. */
const HOLD_S = 8;

/**
 * @param {URLSearchParams} query
 * @param {(colour: string) => boolean} isColour
 * @returns {CaptionStyle}
 */
export function captionStyle(query, isColour) {
  /** @type {Record<string, string>} */
  const variables = {};
  const number = (/** @type {string} */ name, /** @type {number} */ least, /** @type {number} */ most) => {
    const text = query.get(name)?.trim();
    const value = Number(text);
    return text && value >= least && value <= most ? value : null;
  };
  const lines = number('lines', 1, 8);
  if (lines !== null) variables['--lines'] = String(Math.round(lines));
  const size = number('size', 1, 20);
  if (size !== null) variables['--size'] = String(size);
  const place = query.get('position') ?? '';
  if (Object.hasOwn(PLACES, place)) variables['--place'] = PLACES[/** @type {keyof typeof PLACES} */ (place)];
  const alignment = query.get('align') ?? '';
  if (ALIGNMENTS.has(alignment)) variables['--align'] = alignment;
  const [colour, background] = [query.get('color') ?? '', query.get('background') ?? ''];
  if (isColour(colour)) variables['--ink'] = colour;
  if (isColour(background)) variables['--paper'] = background;
  return {
    variables,
    isTransparent: background === 'transparent',
    holdS: number('hold', 0, 3600) ?? HOLD_S,
    startsTalking: query.get('start') === '1',
  };
}
