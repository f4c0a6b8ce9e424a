"use strict";
/* Why a layer is misaligned: where, among what it is computed from, paths that differ meet
 * first. */

/** Returns the named nodes of a cone that are misaligned, but read nothing that is. */
function meetings(network, sources, cone) {
  const { nodes } = network;
  const misaligned = (index) => nodes[index].aligned === false;
  return [...cone]
    .filter((index) => misaligned(index) && !sources[index].some(misaligned))
    .sort((a, b) => a - b)
    .map((index) => nodes[index]);
}

/** Returns a sentence about the paths that meet at a node. */
function meetingText(network, sources, node) {
  const ends = sources[node.index].map((index) => network.nodes[index]);
  const told = ends.map(({ name, stride, centre }) => `${name} (stride ${shownAll(stride)}, first centre ${shownAll(centre)})`);
  const differ = new Set(ends.map(({ stride, centre }) => `${stride} ${centre}`)).size > 1;
  if (differ) return `At ${node.name}, paths meet that differ: ${told.join(" and ")}.`;
  return `Inside ${node.name}, paths with different strides or centres meet.`;
}

/** Returns the reason for a pane: one sentence for each place where paths meet, with a
 * button that opens the layer. */
function reasonsOf(app, pane) {
  const { network, sources } = pane.model;
  const found = meetings(network, sources, pane.cone);
  const first = found.slice(0, 3).map((node) =>
    el("p", {}, meetingText(network, sources, node), " ", el("button", { onclick: () => app.select(node.index) }, "Show")),
  );
  const more = found.length > 3 ? [el("p", {}, `There are ${found.length - 3} more such layers.`)] : [];
  const python = el("p", { class: "hint" }, "In Python, field.explain() names the paths and the padding that would align them.");
  return [...first, ...more, python];
}
