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
    this.nodes = app.network.nodes.filter((node) => node.name !== undefined);
    this.sorted = { column: null, down: false };
    this.filter = el("input", { type: "search", placeholder: "Filter layers", "aria-label": "Filter layers by name or op", oninput: () => this.draw() });
    this.body = el("tbody", {});
    this.heads = COLUMNS.map(([name], column) =>
      el("th", { scope: "col", "aria-sort": "none" }, el("button", { onclick: () => this.sortBy(column) }, name)),
    );
    const failed = Object.entries(app.network.failed);
    root.append(
      el("div", { class: "bar" }, this.filter, el("span", { class: "hint" }, "Click on a row to open the layer. Sizes are in positions, x first. A multiply-add counts as two FLOPs.")),
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

  draw() {
    const query = this.filter.value.trim().toLowerCase();
    const rows = this.nodes.filter((node) => `${node.name} ${node.op}`.toLowerCase().includes(query));
    const { column, down } = this.sorted;
    if (column !== null) {
      const value = COLUMNS[column][1];
      rows.sort((a, b) => (down ? -1 : 1) * compared(value(a), value(b)));
    }
    this.body.replaceChildren(...rows.map((node) => this.row(node)));
  }

  row(node) {
    const open = () => this.app.open(node.index);
    const cells = COLUMNS.slice(1).map(([, value, textOf]) => {
      const found = value(node);
      const text = textOf ? textOf(node) : typeof found === "string" ? found : shownAll(found);
      const flag = text === "no" || text === "at most" ? "flag" : null;
      return el("td", { class: flag, title: typeof found === "number" ? found : null }, text);
    });
    const name = el("th", { scope: "row" }, el("button", { title: node.name }, node.name));
    return el("tr", { onclick: open, "data-node": node.index }, name, ...cells);
  }
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
