"use strict";
/* Finds what a feature sees in every tensor below it, as one set of positions per axis.
 *
 * Sets are passed down from tensor to tensor and clipped to the size of each tensor. A set
 * is a Uint8Array with a 1 for each position that it contains. */

/** Marks in `into` the positions to which a map leads from the positions in `seen`.
 *
 * If `seen` is null, it consists of position 0. If `even` is true, only every g-th position
 * of a window with gap g is marked, and otherwise all positions. Returns whether anything
 * was marked. */
function markImage(map, seen, even, into) {
  if (map === null || isGlobal(map)) {
    const some = into.length > 0 && (seen === null || seen.includes(1));
    if (some) into.fill(1);
    return some;
  }
  let marked = false;
  const size = into.length;
  const count = seen === null ? 1 : seen.length;
  for (const strand of map) {
    if (strand.sets) {
      if (markSets(strand.sets, seen, into)) marked = true;
      continue;
    }
    const step = even ? strand.gap : 1;
    for (let u = 0; u < count; u++) {
      if (seen !== null && !seen[u]) continue;
      const window = strandWindow(strand, u);
      if (window === null) continue;
      let first = window[0] === -Infinity ? 0 : window[0];
      if (first < 0) first += Math.ceil(-first / step) * step;
      const last = Math.min(window[1], size - 1);
      for (let position = first; position <= last; position += step) {
        into[position] = 1;
        marked = true;
      }
    }
  }
  return marked;
}

/** Does the same as `markImage`, with the runs that each position needs in place of a
 * map. */
function markSets(sets, seen, into) {
  let marked = false;
  sets.forEach((runs, u) => {
    if (seen !== null && !seen[u]) return;
    for (let i = 0; i < runs.length; i += 2) {
      into.fill(1, runs[i], runs[i + 1] + 1);
      marked = true;
    }
  });
  return marked;
}

/** Returns the sets that an edge passes down from the upper tensor; null if it passes
 * nothing. */
function handedDown(network, edge, seen, local) {
  const [below, axes, even] = edge;
  const sizes = network.nodes[below].size;
  const found = [];
  for (let axis = 0; axis < sizes.length; axis++) {
    const follows = axes[axis];
    if (follows === null || sizes[axis] === null) {
      found.push(null);
      continue;
    }
    const map = network.maps[follows[1]];
    if (local && isGlobal(map)) return null;
    if (network.identical.has(map) && seen[follows[0]].length === sizes[axis]) {
      found.push(seen[follows[0]]);
      continue;
    }
    const set = new Uint8Array(sizes[axis]);
    const above = follows[0] < 0 ? null : seen[follows[0]];
    if (!markImage(map, above, even, set)) return null;
    found.push(set);
  }
  return found;
}

/** Returns what the feature sees in each tensor up to the chosen one.
 *
 * The entry of a tensor has one set per axis (null for an axis that the tensor does not
 * have). It is undefined if the feature sees nothing of the tensor. The property `bounds`
 * contains the tensors whose sets may be too large, because a step is an upper bound, or
 * because the union of several paths is not a product of one set per axis. If `local` is
 * true, paths that see a whole axis are left out. */
function follow(network, chosen, feature, local = false) {
  const seen = new Array(chosen + 1);
  seen.bounds = new Set();
  seen[chosen] = network.nodes[chosen].size.map((size, axis) => {
    if (size === null) return null;
    const set = new Uint8Array(size);
    set[feature[axis]] = 1;
    return set;
  });
  for (let upper = chosen; upper > 0; upper--) {
    if (seen[upper] === undefined) continue;
    for (const edge of network.nodes[upper].from) {
      const [below, , , exact] = edge;
      const found = handedDown(network, edge, seen[upper], local);
      if (found === null) continue;
      if (!exact || seen.bounds.has(upper)) seen.bounds.add(below);
      if (seen[below] === undefined) {
        seen[below] = found;
        continue;
      }
      const known = seen[below];
      seen[below] = known.map((set) => set && set.slice()); // The set may be shared.
      if (!unite(seen[below], found)) seen.bounds.add(below);
    }
  }
  return seen;
}

/** Adds the sets of `more` to `known`. Returns whether the union of the two products is
 * the product of the resulting sets. */
function unite(known, more) {
  let differing = 0;
  let within = true;
  let without = true;
  known.forEach((set, axis) => {
    if (set === null) return;
    const other = more[axis];
    let [missing, added] = [false, false];
    for (let i = 0; i < set.length; i++) {
      if (set[i] === other[i]) continue;
      if (set[i]) missing = true;
      else added = true;
      set[i] = 1;
    }
    if (missing || added) differing += 1;
    if (added) within = false;
    if (missing) without = false;
  });
  return differing < 2 || within || without;
}

/** Returns the runs of a set as pairs [first, last], in ascending order. */
function runsOf(set) {
  const runs = [];
  for (let i = set.indexOf(1); i >= 0; i = set.indexOf(1, i)) {
    const end = set.indexOf(0, i);
    const stop = end < 0 ? set.length : end;
    runs.push([i, stop - 1]);
    i = stop;
  }
  return runs;
}

/** Returns the first and last position of a set. */
function hullOf(set) {
  return [set.indexOf(1), set.lastIndexOf(1)];
}

/** Returns the network of a page, with decoded maps. Each node has its index and the
 * indices of the nodes that read it. */
function decodeNetwork(data) {
  const maps = data.maps.map(decodeMap);
  const nodes = data.nodes.map((node, index) => ({ ...node, index, readers: [] }));
  for (const node of nodes) {
    for (const [below] of node.from) nodes[below].readers.push(node.index);
    for (const kind of ["map", "local"]) {
      if (node[kind]) node[kind] = node[kind].map((number) => maps[number]);
    }
  }
  return { ...data, maps, nodes, identical: new Set(maps.filter(isIdentity)) };
}
