"use strict";
/* Axis maps, as in receptive_field/algebra/axis_map.py. They give the interval of one axis
 * that each position of another axis depends on. A map is a list of strands, or null if an
 * offset is unknown. The window of a map is the hull of the windows of its strands. */

/** Returns a map from JSON. Infinite ends become numbers, and windows become pairs. */
function decodeMap(strands) {
  if (strands === null) return null;
  const bound = (end) => (end === "-" ? -Infinity : end === "+" ? Infinity : end);
  return strands.map((strand) => {
    if (strand.s) return { sets: strand.s, windows: [] };
    const windows = [];
    for (let i = 0; i < strand.w.length; i += 2) {
      const first = bound(strand.w[i]);
      windows.push(first === null ? null : [first, bound(strand.w[i + 1])]);
    }
    return {
      advance: strand.a,
      start: strand.t,
      windows,
      gap: strand.g || 1,
      exact: !strand.b,
    };
  });
}

/** Returns the window of one strand at a position: [first, last], or null. */
function strandWindow(strand, position) {
  const count = strand.windows.length;
  if (strand.start !== undefined) {
    return strand.windows[position - strand.start] || null;
  }
  const turns = Math.floor(position / count);
  const window = strand.windows[position - turns * count];
  if (window === null) return null;
  const moved = turns * strand.advance;
  return [window[0] + moved, window[1] + moved];
}

/** Returns the window of a map at a position: [first, last], or null if it is empty. */
function windowOf(map, position) {
  let first = Infinity;
  let last = -Infinity;
  for (const strand of map) {
    const window = strandWindow(strand, position);
    if (window !== null) {
      first = Math.min(first, window[0]);
      last = Math.max(last, window[1]);
    }
  }
  return first > last ? null : [first, last];
}

/** Returns whether every position sees the whole axis. */
function isGlobal(map) {
  return (
    map !== null &&
    map.some(
      ({ start, windows: [window], windows }) =>
        start === undefined &&
        windows.length === 1 &&
        window !== null &&
        window[0] === -Infinity &&
        window[1] === Infinity,
    )
  );
}

/** Returns whether every position sees only itself. */
function isIdentity(map) {
  if (map === null || map.length !== 1) return false;
  const [{ advance, windows }] = map;
  return advance === 1 && windows.length === 1 && windows[0]?.join() === "0,0";
}

/** Returns the region of a feature without clipping, as one window per axis.
 *
 * Returns null if the window on any axis is empty or unknown. */
function regionOf(maps, feature) {
  if (maps.includes(null)) return null;
  const region = maps.map((map, axis) => windowOf(map, feature[axis]));
  return region.includes(null) ? null : region;
}
