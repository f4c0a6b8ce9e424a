"use strict";
/* The ops of a layer, with their attributes, inputs and outputs. */

/** Returns elements that describe the ops of a node. */
function opsOf(app, model, node) {
  const say = (text) => [el("p", { class: "hint" }, text)];
  if (node.index === 0) return say("This is the input.");
  if (!node.ops && node.same) return say("This layer passes on what it reads.");
  if (!node.ops) return say("All ops are in the layers inside this one.");
  const { layers, sets, texts } = model.network.contents;
  const [number, ...outside] = node.ops;
  const ops = layers[number].filter(Array.isArray);
  const titles = ops.map(([op]) => texts[op]);
  const shape = (text) => el("small", {}, ` ${texts[text].split(",").join(" × ")}`);
  const source = (place) => {
    if (place >= 0) return texts[place];
    if (place < -1) return titles[-2 - place] ?? "another op of this layer";
    const below = outside.shift();
    if (typeof below === "string") return below;
    return el("button", { class: "link", onclick: () => app.select(below) }, model.network.nodes[below].name);
  };
  const described = ([, set, inputs, outputs], i) => {
    const rows = [
      ...Object.entries(sets[set]),
      ...inputs.map(([place, size]) => ["reads", source(place), shape(size)]),
      ...outputs.map((size) => ["returns", shape(size)]),
    ];
    const list = rows.flatMap(([name, ...told]) => [el("dt", {}, name), el("dd", {}, ...told)]);
    return [el("h3", {}, titles[i]), el("dl", { class: "numbers" }, ...list)];
  };
  const rest = layers[number].find(Number.isInteger);
  const more = rest ? say(`The layer has ${rest} more ops.`) : [];
  return [...ops.flatMap(described), ...more];
}
