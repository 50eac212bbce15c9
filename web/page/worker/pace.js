/** Milliseconds that a turn should take: short enough that a slider feels immediate. */
const TURN = 50;
/** Steps of a turn at most. */
export const MOST = 256;

/**
 * Steps of the next turn, from the time that this one took. It at most doubles, since the first steps are not typical.
 * @param {number} steps @param {number} milliseconds @param {number} most
 */
export function nextSteps(steps, milliseconds, most) {
  const wanted = Math.floor((steps * TURN) / Math.max(milliseconds, 0.1));
  return Math.max(1, Math.min(wanted, 2 * steps, most));
}
