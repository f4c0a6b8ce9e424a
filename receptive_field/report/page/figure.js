"use strict";
/* A small editable network with one axis, which illustrates the paper's equations.
 *
 * A network is a list of blocks. A block has one path of layers, or several paths whose
 * outputs are added. A layer has kernel size k, stride s, padding p before the axis and q
 * after it, and dilation d. */

const layer = (k, s = 1, p = 0, q = p, d = 1) => ({ k, s, p, q, d });

const PRESETS = {
  "A plain chain": { size: 15, blocks: [[[layer(3, 1, 1)]], [[layer(3, 2, 1)]], [[layer(3, 1, 1)]]] },
  "Two layers (paper)": { size: 10, blocks: [[[layer(4, 2, 1)]], [[layer(2)]]] },
  "Aligned paths (paper)": { size: 13, blocks: [[[layer(1, 4)], [layer(3, 2, 1), layer(1, 2)]]] },
  "Misaligned paths (paper)": { size: 8, blocks: [[[layer(5, 2, 2, 1)], [layer(3), layer(3)]]] },
  "Dilated, with holes": { size: 17, blocks: [[[layer(3, 1, 2, 2, 2)]], [[layer(3, 1, 4, 4, 4)]]] },
};
const FIELDS = {
  k: ["kernel size", 1, 15],
  s: ["stride", 1, 8],
  p: ["padding before", 0, 15],
  q: ["padding after", 0, 15],
  d: ["dilation", 1, 8],
};

const MOST_WAYS = 64;

/** Returns the network in the form that `follow` needs, with a label for each node. */
function figureNetwork({ size, blocks }) {
  const nodes = [{ label: "input", size: [size], from: [], path: 0 }];
  const maps = [];
  const add = (node) => nodes.push(node) - 1;
  const mapOf = ({ k, s, p, d }) => {
    const windows = [[-p, d * (k - 1) - p]];
    return maps.push([{ advance: s, windows, gap: k > 1 ? d : 1, exact: true }]) - 1;
  };
  let tip = 0;
  let number = 0;
  for (const block of blocks) {
    const ends = block.map((path, i) =>
      path.reduce((below, each) => {
        const { k, s, p, q, d } = each;
        const out = Math.floor((nodes[below].size[0] + p + q - d * (k - 1) - 1) / s) + 1;
        number += 1;
        const from = [[below, [[0, mapOf(each)]], 1, 1]];
        return add({ label: `layer ${number}`, layer: each, size: [Math.max(out, 0)], from, path: i });
      }, tip),
    );
    tip = ends[0];
    if (ends.length > 1) {
      const same = mapOf(layer(1));
      const sizes = ends.map((end) => nodes[end].size[0]);
      const from = ends.map((end) => [end, [[0, same]], 1, 1]);
      tip = add({ label: "add", size: [Math.min(...sizes)], from, sizes, path: 0 });
    }
  }
  return { nodes, maps, identical: new Set() };
}

/** Returns all paths from the input to the output, as lists of layers. */
function pathsOf({ blocks }) {
  return blocks.reduce(
    (paths, block) => paths.flatMap((path) => block.map((more) => [...path, ...more])),
    [[]],
  );
}

/** Returns r, S and P after each step of the paper's recurrences, from the output down. */
function recurrences(layers) {
  const steps = [{ r: 1, S: 1, P: 0 }];
  for (const { k, s, p, d } of [...layers].reverse()) {
    const { r, S, P } = steps[steps.length - 1];
    const span = d * (k - 1) + 1;
    steps.push({ r: s * r + (span - s), S: s * S, P: s * P + p });
  }
  return steps;
}

/** Returns the numbers of the whole network, and a function from an output feature to its
 * region. */
function figureNumbers(network) {
  const ends = pathsOf(network).map((path) => recurrences(path).at(-1));
  const centre = ({ r, P }) => -P + (r - 1) / 2;
  const [first] = ends;
  const aligned = ends.every((end) => end.S === first.S && centre(end) === centre(first));
  const largest = ends.reduce((a, b) => (b.r > a.r ? b : a));
  const regionOfFeature = (u) => [
    Math.min(...ends.map(({ S, P }) => u * S - P)),
    Math.max(...ends.map(({ r, S, P }) => u * S - P + r - 1)),
  ];
  return { ends, aligned, ...largest, regionOfFeature };
}

class Figure {
  constructor(app, root) {
    this.app = app;
    const names = Object.keys(PRESETS);
    const preset = el("select", { id: "preset", onchange: () => this.load(preset.value) }, ...names.map((name) => el("option", { value: name }, name)));
    this.wrong = el("p", { class: "wrong", role: "alert" });
    this.editor = el("div", { class: "editor" });
    this.picture = svg("svg", { class: "network", tabindex: 0, role: "application", "aria-label": "The network. Arrow keys move the output feature." });
    this.result = el("div", { class: "result", "aria-live": "polite" });
    this.equations = el("div", { class: "scroll" });
    this.picture.addEventListener("keydown", (event) => this.onKey(event));
    root.append(
      el("div", { class: "bar" }, el("label", {}, "Example ", preset), el("span", { class: "hint" }, "Point at a feature of the top row. Each feature is drawn above the centre of what it sees. In an aligned network, all paths have the same centre.")),
      el("div", { class: "columns" }, el("div", { class: "drawing" }, this.picture, this.result), el("div", {}, this.editor, this.equations)),
    );
    this.load(names[3]);
    preset.value = names[3];
  }

  load(name) {
    this.network = structuredClone(PRESETS[name]);
    this.feature = 1;
    this.changed();
  }

  changed() {
    this.drawEditor();
    this.update();
  }

  update() {
    this.graph = figureNetwork(this.network);
    this.problem = this.findProblem();
    this.numbers = figureNumbers(this.network);
    this.top = this.graph.nodes.length - 1;
    this.drawEquations();
    this.point(this.feature);
  }

  findProblem() {
    const empty = this.graph.nodes.find((node) => !node.size[0]);
    if (empty) return `${empty.label} has no features: its window is wider than its padded input. Make the input or the padding larger.`;
    const torn = this.graph.nodes.find((node) => new Set(node.sizes).size > 1);
    if (torn) return `The paths have ${torn.sizes.join(" and ")} features, so only the first ${torn.size[0]} are added. Change a padding.`;
    return "";
  }

  point(feature) {
    const count = this.graph.nodes[this.top].size[0];
    this.feature = Math.max(0, Math.min(count - 1, feature));
    this.draw();
  }

  onKey(event) {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!step) return;
    event.preventDefault();
    event.stopPropagation();
    this.point(this.feature + step);
  }

  // --- The editor -------------------------------------------------------------------

  drawEditor() {
    const { network } = this;
    const size = this.numberInput("input size", network.size, 1, 40, (value) => (network.size = value));
    let number = 0;
    const blocks = network.blocks.map((block, b) =>
      el(
        "fieldset",
        {},
        el("legend", {}, block.length > 1 ? "Paths that are added" : "One path"),
        ...block.map((path, i) =>
          el(
            "div",
            { class: `path path-${i % 3}` },
            ...path.map((each, place) => this.layerRow(path, each, place, ++number)),
            el("button", { onclick: () => this.edit(() => path.push(layer(3, 1, 1))) }, "+ layer"),
            block.length > 1 ? el("button", { onclick: () => this.edit(() => block.splice(i, 1)) }, "remove path") : null,
          ),
        ),
        el("button", { onclick: () => this.edit(() => block.push([layer(1)])), disabled: this.isFull(block) }, "+ parallel path"),
        network.blocks.length > 1 ? el("button", { onclick: () => this.edit(() => network.blocks.splice(b, 1)) }, "remove") : null,
      ),
    );
    const more = el("button", { onclick: () => this.edit(() => network.blocks.push([[layer(3, 1, 1)]])) }, "+ layers after this");
    const key = Object.entries(FIELDS).map(([field, [label]]) => `${field} ${label}`);
    const hint = el("p", { class: "hint" }, `${key.join(", ")}.`);
    this.editor.replaceChildren(el("label", { class: "size" }, "Input size ", size), this.wrong, ...blocks, more, hint);
  }

  /** Returns whether another path would be too many, because each combination of paths is
   * computed. */
  isFull(block) {
    const ways = this.network.blocks.reduce((count, { length }) => count * length, 1);
    return block.length > 2 || (ways / block.length) * (block.length + 1) > MOST_WAYS;
  }

  edit(change) {
    change();
    this.changed();
  }

  layerRow(path, each, place, number) {
    const inputs = Object.entries(FIELDS).map(([field, [label, least, most]]) =>
      el("label", { title: label }, field, this.numberInput(`layer ${number}: ${label}`, each[field], least, most, (value) => (each[field] = value))),
    );
    const remove = el("button", { "aria-label": `Remove layer ${number}`, title: "Remove", onclick: () => this.edit(() => path.splice(place, 1)) }, "×");
    return el("div", { class: "layer" }, el("span", {}, `layer ${number}`), ...inputs, remove);
  }

  numberInput(label, value, least, most, set) {
    const take = (event) => {
      const number = Number(event.target.value);
      const wrong = event.target.value === "" || !Number.isInteger(number) || number < least || number > most;
      this.wrong.textContent = wrong ? `${label[0].toUpperCase()}${label.slice(1)} must be a whole number from ${least} to ${most}. The figure still shows ${event.target.defaultValue}.` : "";
      if (wrong) {
        event.target.setAttribute("aria-invalid", "true");
        return;
      }
      event.target.removeAttribute("aria-invalid");
      event.target.defaultValue = number;
      set(number);
      this.update();
    };
    return el("input", { type: "number", value, min: least, max: most, "aria-label": label, oninput: take });
  }

  // --- The drawing ------------------------------------------------------------------

  /** Returns the input window of a span of positions, which decides where they are
   * drawn. */
  spanOf(index, first, last) {
    const { nodes, maps } = this.graph;
    if (index === 0) return [first, last];
    const spans = nodes[index].from.map(([below, [[, map]]]) =>
      this.spanOf(below, windowOf(maps[map], first)[0], windowOf(maps[map], last)[1]),
    );
    return [Math.min(...spans.map(([a]) => a)), Math.max(...spans.map(([, b]) => b))];
  }

  placeOf(index, position) {
    const [first, last] = this.spanOf(index, position, position);
    return (first + last) / 2;
  }

  /** Returns the positions of each node that the feature needs, including padding. */
  needed(feature) {
    const { nodes, maps } = this.graph;
    const found = nodes.map(() => new Set());
    if (!nodes[this.top].size[0]) return found;
    found[this.top].add(feature);
    for (let index = this.top; index > 0; index--) {
      for (const [below, [[, map]]] of nodes[index].from) {
        const [strand] = maps[map];
        for (const u of found[index]) {
          if (u < 0 || u >= nodes[index].size[0]) continue;
          const [first, last] = strandWindow(strand, u);
          for (let v = first; v <= last; v += strand.gap) found[below].add(v);
        }
      }
    }
    return found;
  }

  draw() {
    const { nodes, maps } = this.graph;
    const needed = this.needed(this.feature);
    const last = nodes.length - 1;
    const [left, right] = this.reach();
    const [gap, rise, margin] = [34, 66, 150];
    const x = (index, u) => margin + (this.placeOf(index, u) - left) * gap;
    const y = (index) => 30 + (last - index) * rise;
    const lines = [];
    const dots = [];
    nodes.forEach((node, index) => {
      const inside = Array.from({ length: node.size[0] }, (_, u) => u);
      const padding = [...needed[index]].filter((u) => u < 0 || u >= node.size[0]);
      for (const [below, [[, map]]] of node.from) {
        for (const u of inside) {
          const [strand] = maps[map];
          const [first, end] = strandWindow(strand, u);
          for (let v = first; v <= end; v += strand.gap) {
            const live = needed[index].has(u);
            const outside = v < 0 || v >= nodes[below].size[0];
            if (outside && !live) continue;
            const d = `M${x(index, u)} ${y(index)}L${x(below, v)} ${y(below)}`;
            const path = index === this.top && node.label === "add" ? nodes[below].path : node.path;
            lines[live ? "push" : "unshift"](svg("path", { d, class: `line path-${path % 3}${live ? " live" : ""}` }));
          }
        }
      }
      dots.push(this.label(node, 12, y(index)));
      for (const u of [...inside, ...padding]) {
        const real = u >= 0 && u < node.size[0];
        const kind = `${needed[index].has(u) ? " live" : ""}${real ? "" : " padding"}`;
        const dot = svg("circle", { cx: x(index, u), cy: y(index), r: 11, class: `dot path-${node.path % 3}${kind}`, "data-row": index, "data-position": u });
        if (index === this.top) {
          dot.classList.add("top");
          dot.addEventListener("pointerenter", () => u === this.feature || this.point(u));
        }
        dots.push(dot);
        const text = svg("text", { x: x(index, u), y: y(index) + 4, class: "number" });
        text.textContent = shown(u);
        dots.push(text);
      }
    });
    const width = margin + (right - left + 1) * gap;
    const height = y(0) + 36;
    this.picture.setAttribute("viewBox", `0 0 ${width} ${height}`);
    this.picture.style.maxWidth = `${width * 1.15}px`;
    this.picture.replaceChildren(...lines, ...dots);
    this.drawResult();
  }

  label(node, x, y) {
    const name = svg("text", { x, y: y - 2, class: "label" });
    name.textContent = node.label;
    const detail = svg("text", { x, y: y + 13, class: "detail" });
    if (node.layer) {
      const { k, s, p, q, d } = node.layer;
      detail.textContent = `k=${k} s=${s} p=${p}${q === p ? "" : `/${q}`}${d > 1 ? ` d=${d}` : ""}`;
    } else {
      detail.textContent = `${node.size[0]} features`;
    }
    return svg("g", {}, name, detail);
  }

  /** Returns the first and last place of the drawing, which do not depend on the chosen
   * feature. */
  reach() {
    const { nodes } = this.graph;
    const outermost = [0, nodes[this.top].size[0] - 1].map((u) => this.needed(u));
    const places = nodes.flatMap((node, index) => {
      const needed = outermost.flatMap((found) => [...found[index]]);
      return [0, node.size[0] - 1, ...needed].map((u) => this.placeOf(index, u));
    });
    return [Math.min(...places), Math.max(...places)];
  }

  // --- Numbers ----------------------------------------------------------------------

  drawResult() {
    const { aligned, r, S, P, regionOfFeature } = this.numbers;
    const count = this.graph.nodes[this.top].size[0];
    const seen = count ? follow(this.graph, this.top, [this.feature])[0] : undefined;
    const inside = seen ? runsOf(seen[0]).flatMap(([a, b]) => Array.from({ length: b - a + 1 }, (_, i) => a + i)) : [];
    const [first, last] = regionOfFeature(this.feature);
    const words = aligned
      ? `Aligned: receptive field size r = ${r}, effective stride S = ${S}, effective padding P = ${P}.`
      : "Misaligned: the paths have different strides or centres, so no single r, S and P describe all features.";
    const rows = Array.from({ length: count }, (_, u) => {
      const [a, b] = regionOfFeature(u);
      return el("tr", { class: u === this.feature ? "chosen" : null, "data-region": `${a},${b}` }, el("th", { scope: "row" }, String(u)), el("td", {}, `${shown(a)} … ${shown(b)}`), el("td", {}, String(b - a + 1)));
    });
    this.result.dataset.numbers = JSON.stringify({ aligned, r, S, P });
    this.result.dataset.inside = inside.join(",");
    this.result.replaceChildren(
      ...(this.problem ? [el("p", { class: "problem" }, this.problem)] : []),
      el("p", { class: aligned ? "verdict good" : "verdict bad" }, words),
      ...(count ? [el("p", {}, `Feature ${this.feature} sees ${shown(first)} … ${shown(last)}, ${last - first + 1} positions; inside the input: ${inside.join(", ") || "none"}.`)] : []),
      el("table", {}, el("thead", {}, el("tr", {}, ...["feature", "start … end", "size"].map((name) => el("th", { scope: "col" }, name)))), el("tbody", {}, ...rows)),
    );
  }

  drawEquations() {
    const tables = pathsOf(this.network).slice(0, 6).map((path, i) => {
      const steps = recurrences(path);
      const rows = [...path].reverse().map(({ k, s, p, d }, place) => {
        const [from, to] = [steps[place], steps[place + 1]];
        const span = d * (k - 1) + 1;
        const cell = (text) => el("td", {}, text);
        return el("tr", {}, el("th", { scope: "row" }, `${path.length - place}`), cell(`${s}·${from.r} + (${span} − ${s}) = ${to.r}`), cell(`${s}·${from.S} = ${to.S}`), cell(`${s}·${from.P} + ${p} = ${to.P}`));
      });
      const { r, P } = steps.at(-1);
      const heads = ["layer l", "r = s·r + (k − s)", "S = s·S", "P = s·P + p"];
      return el(
        "table",
        { class: "equations" },
        el("caption", {}, `Path ${i + 1}, from the output down; the first centre is −P + (r − 1)/2 = ${shown(-P + (r - 1) / 2)}`),
        el("thead", {}, el("tr", {}, ...heads.map((head) => el("th", { scope: "col" }, head)))),
        el("tbody", {}, ...rows),
      );
    });
    this.equations.replaceChildren(el("h2", {}, "The paper's equations"), ...tables);
  }
}
