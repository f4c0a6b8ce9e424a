"use strict";
/* A sortable table of all layers with their numbers. */

/** The name of each column, a function for its value, and a function for its text if this
 * is not the value. Rows are sorted by value. */
const COLUMNS = [
  ["layer", (node) => node.name],
  ["op", (node) => node.op],
  ["output", (node) => node.size, shownSize],
  ["receptive field", (node) => node.rf],
  ["stride", (node) => node.stride],
  ["padding", (node) => node.padding],
  ["first centre", (node) => node.centre],
  ["aligned", (node) => ({ true: "yes", false: "no", null: "unknown" })[String(node.aligned)]],
  ["exact", (node) => (node.exact ? "yes" : "at most")],
  ["FLOPs", (node) => node.flops, (node) => shownLarge(node.flops)],
  ["parameters", (node) => node.parameters, (node) => shownLarge(node.parameters)],
];

class Table {
  constructor(app, root) {
    this.app = app;
    this.columns = app.isOne ? COLUMNS : [...COLUMNS, ["model", (node) => this.modelOf.get(node).title]];
    this.modelOf = new Map(app.models.flatMap((model) => model.nodes.map((node) => [node, model])));
    this.nodes = [...this.modelOf.keys()];
    this.sorted = { column: null, down: false };
    this.filter = el("input", { type: "search", placeholder: "Filter layers", "aria-label": "Filter layers by name or op", oninput: () => this.draw() });
    this.body = el("tbody", {});
    this.heads = this.columns.map(([name], column) =>
      el("th", { scope: "col", "aria-sort": "none" }, el("button", { onclick: () => this.sortBy(column) }, name)),
    );
    const failed = app.models.flatMap(({ network }) => Object.entries(network.failed));
    root.append(
      el("div", { class: "bar" }, this.filter, el("button", { id: "save-table", title: "All layers as a CSV file", onclick: () => this.save() }, "Save table"), el("span", { class: "hint" }, "Click on a row to open the layer. Sizes are in positions, x first. A multiply-add counts as two FLOPs.")),
      el("div", { class: "scroll" }, el("table", {}, el("thead", {}, el("tr", {}, ...this.heads)), this.body)),
    );
    if (failed.length) root.append(el("h2", {}, "Not analysed"), el("ul", {}, ...failed.map(([name, why]) => el("li", {}, `${name}: ${why}`))));
    this.draw();
  }

  sortBy(column) {
    const again = this.sorted.column === column;
    this.sorted = { column, down: again && !this.sorted.down };
    this.heads.forEach((head, i) => {
      const order = this.sorted.down ? "descending" : "ascending";
      head.setAttribute("aria-sort", i === column ? order : "none");
    });
    this.draw();
  }

  /** Returns the nodes that pass the filter, sorted. */
  rows() {
    const query = this.filter.value.trim().toLowerCase();
    const rows = this.nodes.filter((node) => `${node.name} ${node.op}`.toLowerCase().includes(query));
    const { column, down } = this.sorted;
    if (column !== null) {
      const value = this.columns[column][1];
      rows.sort((a, b) => (down ? -1 : 1) * compared(value(a), value(b)));
    }
    return rows;
  }

  draw() {
    this.body.replaceChildren(...this.rows().map((node) => this.row(node)));
  }

  /** Saves the layers that are shown, as CSV. Every number has a column of its own. */
  save() {
    const axes = AXES.slice(0, Math.max(...this.app.models.map(({ sizes }) => sizes.length)));
    const wide = (value) => (Array.isArray(value) ? axes.map((_, axis) => value[axis]) : [value]);
    const heads = this.columns.flatMap(([name, value]) => (Array.isArray(value(this.nodes[0])) ? axes.map((axis) => `${name} ${axis}`) : [name]));
    const rows = this.rows().map((node) => this.columns.flatMap(([, value]) => wide(value(node))));
    const text = [heads, ...rows].map((row) => `${row.map(cell).join(",")}\r\n`).join("");
    saveFile(`${this.app.title} layers.csv`, "text/csv", text);
  }

  row(node) {
    const open = () => this.app.open(node.index, this.modelOf.get(node));
    const cells = this.columns.slice(1).map(([, value, textOf]) => {
      const found = value(node);
      const text = textOf ? textOf(node) : typeof found === "string" ? found : shownAll(found);
      const flag = text === "no" || text === "at most" ? "flag" : null;
      return el("td", { class: flag, title: typeof found === "number" ? found : null }, text);
    });
    const name = el("th", { scope: "row" }, el("button", { title: node.name }, node.name));
    const idle = node.idle ? { class: "idle", title: IDLE } : {};
    return el("tr", { onclick: open, "data-node": node.index, ...idle }, name, ...cells);
  }
}

/** Returns a value as a cell of CSV. An unknown one is empty. Control characters of names
 * are escaped, and an apostrophe begins what a spreadsheet would run as a formula. */
function cell(value) {
  if (value === null || value === undefined) return "";
  const code = (character) => `\\x${character.charCodeAt(0).toString(16).padStart(2, "0")}`;
  const plain = String(value).replace(/[\x00-\x1f\x7f-\x9f]/g, code);
  const text = typeof value === "string" && /^'*[=+\-@]/.test(plain) ? `'${plain}` : plain;
  return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** Compares two values in ascending order. Lists are compared entry by entry. Unknown
 * values come last. */
function compared(a, b) {
  const plain = (value) => (value === "inf" ? Infinity : value);
  const [one, two] = [a, b].map((value) => (Array.isArray(value) ? value.map(plain) : [plain(value)]));
  for (let i = 0; i < Math.max(one.length, two.length); i++) {
    const [x, y] = [one[i] ?? null, two[i] ?? null];
    if (x === y) continue;
    if (x === null || y === null) return x === null ? 1 : -1;
    if (typeof x === "string") return x.localeCompare(y, "en", { numeric: true });
    return x < y ? -1 : 1;
  }
  return 0;
}
