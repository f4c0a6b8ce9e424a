"use strict";
/* Axis maps, as receptive_field/axis_map.py has them: for every position of one axis the
 * interval of another axis that it depends on. A map is a list of strands, or null where
 * an offset is unknown; its window is the hull of theirs. */

/** A map from JSON: infinite ends become numbers, windows pairs. */
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

/** The window of one strand at a position: [first, last], or null. */
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

/** The window of a map at a position: [first, last], or null where it sees nothing. */
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

/** Whether every position sees the whole axis. */
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

/** Whether every position sees just itself. */
function isIdentity(map) {
  if (map === null || map.length !== 1) return false;
  const [{ advance, windows }] = map;
  return advance === 1 && windows.length === 1 && windows[0]?.join() === "0,0";
}

/** The region of a feature, unclipped: for each axis a window.
 *
 * Empty on one axis is empty on all: null. So is what cannot be placed. */
function regionOf(maps, feature) {
  if (maps.includes(null)) return null;
  const region = maps.map((map, axis) => windowOf(map, feature[axis]));
  return region.includes(null) ? null : region;
}
