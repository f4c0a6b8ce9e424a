"use strict";
/* The graph as a foldable list, with the input first. Each layer or folded group has a
 * row. The lanes beside the rows show how data flow from row to row. */

const ROW = 26;
const LANE = 13;
const FEW_ROWS = 45;
const MANY_GROUPS = 60;
const LONGEST = 40;

/** Returns, for each node, the named nodes that it reads directly or through nodes without
 * a name. */
function namedSources(nodes) {
  const found = new Array(nodes.length);
  for (const node of nodes) {
    const sources = new Set(node.reads);
    for (const [below] of node.reads ? [] : node.from) {
      if (nodes[below].name !== undefined) sources.add(below);
      else found[below].forEach((source) => sources.add(source));
    }
    found[node.index] = [...sources];
  }
  return found;
}

/** Returns the scopes of a name or, if it has none, its words. A number at the end belongs
 * to the word before it. */
function nameParts(name) {
  return name.includes("/") ? name.split("/") : name.split(/(?=_)(?!_\d+$)/);
}

/** Returns the nodes in nested groups of neighbours whose names begin alike. */
function groupedByName(nodes, depth = 0, prefix = "") {
  const items = [];
  for (let i = 0; i < nodes.length; ) {
    const parts = nameParts(nodes[i].name);
    let end = i + 1;
    const alike = (node) => {
      const others = nameParts(node.name);
      return others.length > depth + 1 && others[depth] === parts[depth];
    };
    if (parts.length > depth + 1) {
      while (end < nodes.length && alike(nodes[end])) end++;
    }
    const members = nodes.slice(i, end);
    const joint = nodes[i].name.includes("/") && depth ? "/" : "";
    const name = prefix + joint + parts[depth];
    if (members.length === 1) items.push({ node: nodes[i], prefix });
    else items.push(groupOf(name, prefix, groupedByName(members, depth + 1, name)));
    i = end;
  }
  return items;
}

/** Returns a group or, if it contains only one group, that group. */
function groupOf(name, prefix, items) {
  if (items.length === 1 && items[0].items) return { ...items[0], prefix };
  return { name, prefix, items, open: false };
}

/** Groups the nodes between layers that all data pass through. Fewer than three nodes are
 * not grouped. */
function groupedByFlow(nodes, sources) {
  const furthest = new Map();
  nodes.forEach(({ index }) => {
    sources[index].forEach((source) => furthest.set(source, index));
  });
  const items = [];
  let block = [];
  let open = -1;
  for (const node of nodes) {
    block.push({ node, prefix: "" });
    if (open <= node.index) {
      items.push(...(block.length < 3 ? block : [stretch(block)]));
      block = [];
    }
    open = Math.max(open, furthest.get(node.index) ?? -1);
  }
  return items.concat(block);
}

/** Returns a stretch of layers as a group. In a long stretch, this group contains smaller
 * groups. */
function stretch(items) {
  const name = `${items[0].node.name} … ${items.at(-1).node.name}`;
  const parts = [];
  for (let i = 0; i < items.length; i += LONGEST) parts.push(items.slice(i, i + LONGEST));
  const inside = parts.length > 1 ? parts.map(stretch) : items;
  return { name, prefix: "", items: inside, open: false };
}

function groupedNodes(nodes, sources) {
  const named = groupedByName(nodes);
  const items = named.length > MANY_GROUPS ? groupedByFlow(nodes, sources) : named;
  const count = (list) =>
    list.reduce((sum, item) => sum + 1 + (item.open ? count(item.items) : 0), 0);
  for (let level = items; level.length; ) {
    const next = level.filter((item) => item.items);
    for (const group of next) {
      group.open = true;
      if (count(items) > FEW_ROWS) group.open = false;
    }
    level = next.filter((group) => group.open).flatMap((group) => group.items);
  }
  return items;
}

/** Assigns a lane to each station, as in `git log --graph`, and returns the number of
 * lanes. */
function laidOut(stations) {
  const lastUse = new Map();
  stations.forEach((station, i) => station.sources.forEach((s) => lastUse.set(s, i)));
  const lanes = [];
  stations.forEach((station, i) => {
    const ending = station.sources.filter((s) => lastUse.get(s) === i);
    const left = ending.map((s) => stations[s].lane).sort((a, b) => a - b);
    left.forEach((lane) => (lanes[lane] = undefined));
    let lane = left.length ? left[0] : lanes.indexOf(undefined);
    if (lane < 0) lane = lanes.length;
    station.lane = lane;
    lanes[lane] = lastUse.has(i) ? i : undefined;
  });
  return Math.max(1, lanes.length);
}

class Tree {
  constructor(app) {
    this.app = app;
    this.root = byId("tree");
    this.query = "";
    this.root.addEventListener("keydown", (event) => this.onKey(event));
    this.show(app.pane.model);
  }

  /** Lists the layers of a model. What was folded stays folded. */
  show(model) {
    if (model === this.model) return;
    this.model = model;
    this.sources = model.sources;
    this.nodes = model.nodes;
    model.items ??= groupedNodes(this.nodes, this.sources);
    this.items = model.items;
    this.current = 0;
    byId("tree-model").textContent = model.title;
    byId("tree-model").hidden = this.app.isOne;
    this.draw();
  }

  search(query) {
    this.query = query.trim().toLowerCase();
    this.draw();
  }

  matches() {
    const words = this.query.split(/\s+/);
    return this.nodes.filter((node) => {
      const text = `${node.name} ${node.op}`.toLowerCase();
      return words.every((word) => text.includes(word));
    });
  }

  /** Returns the layer with exactly the name in the search, or the first match. */
  best() {
    if (!this.query) return undefined;
    const found = this.matches();
    return found.find((node) => node.name.toLowerCase() === this.query) ?? found[0];
  }

  foldAll() {
    const anyOpen = this.items.some((item) => item.open);
    const set = (items) =>
      items.forEach((item) => {
        if (!item.items) return;
        item.open = !anyOpen;
        set(item.items);
      });
    set(this.items);
    this.draw();
  }

  /** Opens the groups that contain a node, and scrolls its row into view. */
  reveal(index) {
    const open = (items) =>
      items.some((item) => {
        if (item.node) return item.node.index === index;
        const here = open(item.items);
        if (here && !item.open) item.open = this.dirty = true;
        return here;
      });
    this.dirty = false;
    open(this.items);
    if (this.dirty) this.draw();
    else this.mark();
    const row = this.rows.find((each) => each.item.node?.index === index);
    if (row) this.scrollTo(row.element);
  }

  /** Scrolls the list to a row, and not the page, on which the list may be out of sight. */
  scrollTo({ offsetTop, offsetHeight }) {
    const { scrollTop, clientHeight } = this.root;
    const least = offsetTop + offsetHeight - clientHeight;
    this.root.scrollTop = Math.min(offsetTop, Math.max(scrollTop, least));
  }

  draw() {
    const entries = [];
    const add = (items, depth) =>
      items.forEach((item) => {
        entries.push({ item, depth });
        if (item.open) add(item.items, depth + 1);
      });
    if (this.query) {
      this.matches().forEach((node) => entries.push({ item: { node, prefix: "" }, depth: 0 }));
    } else {
      add(this.items, 0);
    }
    const lanes = this.query ? null : this.drawnLanes(entries);
    const gutter = lanes ? lanes.width : 6;
    this.rows = entries.map((entry) => this.drawnRow(entry, gutter));
    const list = this.rows.map((row) => row.element);
    if (!list.length) list.push(el("p", { class: "none" }, "No layer matches."));
    this.root.replaceChildren(...(lanes ? [lanes.element] : []), ...list);
    this.current = Math.min(this.current, Math.max(0, this.rows.length - 1));
    this.mark();
  }

  drawnRow(entry, gutter) {
    const { item, depth } = entry;
    const { node } = item;
    const label = labelOf((node ?? item).name, item.prefix);
    const style = `padding-left:${gutter + depth * 12}px`;
    const element = el(
      "div",
      {
        role: "treeitem",
        class: node ? (node.idle ? "row idle" : "row") : "row group",
        title: node?.idle ? IDLE : null,
        style,
        tabindex: -1,
        title: node ? `${node.name}  (${node.op})` : item.name,
        "aria-level": depth + 1,
        "aria-expanded": node ? null : String(item.open),
        "data-node": node ? node.index : null,
        onclick: () => this.activate(entry),
      },
      el("span", { class: "fold" }, node ? "" : item.open ? "▾" : "▸"),
      el("span", { class: "name" }, label),
      el("span", { class: "note" }, node ? shownSize(node) : `${leavesOf(item).length} layers`),
    );
    return { ...entry, element };
  }

  activate(entry) {
    this.current = this.rows.findIndex((row) => row.item === entry.item);
    if (entry.item.node) {
      this.app.select(entry.item.node.index);
    } else {
      entry.item.open = !entry.item.open;
      this.draw();
      this.rows[this.current]?.element.focus();
    }
  }

  drawnLanes(entries) {
    const stations = [];
    const stationOf = new Map();
    entries.forEach(({ item }, i) => {
      if (item.open) return;
      const members = item.node ? [item.node] : leavesOf(item);
      members.forEach((node) => stationOf.set(node.index, stations.length));
      stations.push({ members, y: (i + 0.5) * ROW, isGroup: !item.node });
    });
    stations.forEach((station, i) => {
      const sources = station.members.flatMap((node) => this.sources[node.index]);
      const found = new Set(sources.map((source) => stationOf.get(source)));
      station.sources = [...found].filter((source) => source < i);
    });
    const width = 10 + Math.min(laidOut(stations), 12) * LANE;
    const at = (station) => 8 + Math.min(station.lane, 11) * LANE;
    this.edges = [];
    const lines = [];
    for (const station of stations) {
      for (const number of station.sources) {
        const source = stations[number];
        const [x0, y0, x1, y1] = [at(source), source.y, at(station), station.y];
        const turn = Math.max(y0, y1 - ROW);
        const curve = `C${x0} ${y1 - ROW / 3} ${x1} ${turn + ROW / 3} ${x1} ${y1}`;
        const path = svg("path", { d: `M${x0} ${y0}V${turn}${x0 === x1 ? `V${y1}` : curve}` });
        this.edges.push({ path, source, station });
        lines.push(path);
      }
    }
    const dots = stations.map((station) => {
      const size = station.isGroup ? 5 : 3.5;
      const [x, y] = [at(station) - size, station.y - size];
      const shape = { x, y, width: 2 * size, height: 2 * size, rx: station.isGroup ? 2 : size };
      station.dot = svg("rect", shape);
      return station.dot;
    });
    this.stations = stations;
    const height = entries.length * ROW;
    const element = svg("svg", { class: "lanes", width, height, "aria-hidden": "true" });
    element.append(...lines, ...dots);
    return { element, width };
  }

  /** Marks the selected layers, and the layers that the current one is computed from. */
  mark() {
    const { app } = this;
    const cone = app.pane ? app.pane.cone : new Set();
    const own = app.panes.filter((pane) => pane.model === this.model);
    const keys = new Map(own.map((pane) => [pane.node.index, pane.key]));
    this.rows.forEach(({ element, item }, i) => {
      const key = item.node ? keys.get(item.node.index) : undefined;
      element.setAttribute("aria-selected", String(key !== undefined));
      element.dataset.pane = key ?? "";
      element.classList.toggle("below", item.node ? cone.has(item.node.index) : false);
      element.tabIndex = i === this.current ? 0 : -1;
    });
    if (this.query) return;
    const live = (station) => station.members.some((node) => cone.has(node.index));
    this.stations.forEach((station) => station.dot.classList.toggle("live", live(station)));
    this.edges.forEach(({ path, source, station }) => {
      path.classList.toggle("live", live(source) && live(station));
    });
  }

  onKey(event) {
    const { item } = this.rows[this.current] ?? {};
    const moves = { ArrowDown: 1, ArrowUp: -1, PageDown: 15, PageUp: -15, Home: -1e9, End: 1e9 };
    if (!item) return;
    if (event.key in moves) {
      const next = this.current + moves[event.key];
      this.current = Math.max(0, Math.min(this.rows.length - 1, next));
      this.mark();
      this.rows[this.current].element.focus();
    } else if (event.key === "Enter" || event.key === " ") {
      this.activate(this.rows[this.current]);
    } else if (item.items && event.key === (item.open ? "ArrowLeft" : "ArrowRight")) {
      this.activate(this.rows[this.current]);
    } else if (!["ArrowLeft", "ArrowRight"].includes(event.key)) {
      return;
    }
    event.preventDefault();
    event.stopPropagation();
  }
}

/** Returns the part that a name adds to the name of its group. If this part begins with a
 * digit, the word before it is included. */
function labelOf(name, prefix) {
  const rest = name.slice(prefix.length).replace(/^[/_]/, "");
  return prefix && /^\d/.test(rest) ? `${prefix.split(/[/_]/).pop()}_${rest}` : rest;
}

function leavesOf(item) {
  return item.node ? [item.node] : item.items.flatMap(leavesOf);
}
