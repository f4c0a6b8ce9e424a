"use strict";
/* The page: its current choices, and its reactions to events. */

class App {
  constructor(data) {
    this.title = data.title;
    this.models = data.models.map((model) => new Model(model));
    this.isOne = this.models.length === 1;
    this.mode = MODES[0];
    this.local = false;
    this.panes = [];
    this.colours = {};
    this.describe();
    this.panes.push(new Pane(this, "a"));
    this.pane = this.panes[0];
    byId("panes").append(this.pane.element);
    this.readColours();
    this.pane.select(this.models[0].firstChoice(), this.models[0]);
    this.tree = new Tree(this);
    this.between = new Between(this);
    this.refresh = oncePerFrame(() => this.pointed());
    this.listen();
    this.show("explore");
    if (this.isOne) this.select(this.pane.node.index);
    else this.toggleCompare();
    keepAddress(this);
  }

  /** What is shown has changed. */
  onShown() {}

  /** The network of the current pane. */
  get network() {
    return this.pane.model.network;
  }

  describe() {
    const { title } = this;
    byId("title").textContent = title;
    const told = this.models.map((model) => (this.isOne ? model.about() : `${model.title}: ${model.about()}`));
    byId("about").textContent = told.join("; ");
    byId("local-label").hidden = !this.models.some(({ nodes }) => nodes.some((node) => node.local));
  }

  // --- Actions ----------------------------------------------------------------------

  select(index, model = this.pane.model) {
    this.pane.select(index, model);
    this.markApart();
    if (this.panes.length > 1) this.point(this.pane, this.pane.feature, "move");
    this.shown();
  }

  /** Says it if the panes cannot follow each other. */
  markApart() {
    const [first, second] = this.panes;
    byId("apart").hidden = !second || second.model.scaleFrom(first.model) !== null;
  }

  /** Shows the layer of the current pane in the rest of the page. */
  shown() {
    this.showTree();
    this.between.list(this.pane);
    this.tell();
  }

  showTree() {
    this.tree.show(this.pane.model);
    this.tree.reveal(this.pane.node.index);
  }

  open(index, model) {
    this.show("explore");
    this.select(index, model);
  }

  /** Points a pane at a feature. Hovering does not move a pinned pane. */
  point(pane, feature, how) {
    if (how === "hover" && pane.pinned) return;
    if (how === "pin") pane.pinned = true;
    pane.point(feature);
    this.moved = pane;
    this.refresh();
  }

  /** Updates the other pane and the rest of the page after a feature has moved. */
  pointed() {
    const start = performance.now();
    const other = this.panes.find((pane) => pane !== this.moved);
    if (other && !other.pinned) other.follow(this.moved);
    else if (other) other.drawStage();
    if (other) this.moved.drawStage();
    this.between.draw();
    this.tell();
    this.lastDraw = performance.now() - start;
  }

  togglePin(pane) {
    pane.pinned = !pane.pinned;
    pane.draw();
  }

  focusPane(pane) {
    if (pane === this.pane) return;
    this.pane = pane;
    this.panes.forEach((each) => each.element.classList.toggle("current", each === pane));
    if (this.tree.model === pane.model) this.tree.mark();
    else this.showTree();
    this.between.list(pane);
  }

  toggleCompare() {
    if (this.panes.length > 1) {
      const [first, second] = this.panes;
      second.element.remove();
      this.panes = [first];
      this.pane = first;
    } else {
      const second = new Pane(this, "b");
      this.panes.push(second);
      byId("panes").append(second.element);
      const next = this.models[(this.models.indexOf(this.pane.model) + 1) % this.models.length];
      second.select(this.isOne ? this.halfWay(this.pane) : next.counterpart(this.pane.node), next);
      this.point(this.pane, this.pane.feature, "move");
    }
    byId("compare").setAttribute("aria-pressed", String(this.panes.length > 1));
    byId("panes").classList.toggle("two", this.panes.length > 1);
    this.markApart();
    this.panes.forEach((each) => each.element.classList.toggle("current", each === this.pane));
    this.shown();
  }

  /** Returns the layer halfway between the input and the layer of a pane. */
  halfWay(pane) {
    const { nodes } = this.network;
    const named = [...pane.cone].filter((index) => nodes[index].name !== undefined).sort((a, b) => a - b);
    return named[Math.floor(named.length / 2)];
  }

  setMode(mode) {
    this.mode = mode;
    byId("mode-region").setAttribute("aria-pressed", String(mode === "region"));
    byId("mode-centres").setAttribute("aria-pressed", String(mode === "centres"));
    this.panes.forEach((pane) => pane.drawDots());
    this.onShown();
  }

  setLocal(local) {
    this.local = local;
    this.panes.forEach((pane) => {
      pane.fitStage();
      pane.point(pane.feature);
    });
    this.between.draw();
    this.onShown();
  }

  /** Describes the region in words, for screen readers. */
  tell() {
    const { node, region, feature, model } = this.pane;
    const of = this.isOne ? node.name : `${node.name} of ${model.title}`;
    const where = region ? region.map(([a, b], axis) => `${AXES[axis]} ${shown(a)} to ${shown(b)}`).join(", ") : "nothing";
    byId("status").textContent = `Feature ${feature.join(", ")} of ${of} sees ${where}.`;
    this.onShown();
  }

  /** Saves what the current pane shows on the image. */
  save() {
    const { node, feature, stage } = this.pane;
    saveFile(`${node.name} (${feature.join(", ")}).svg`, "image/svg+xml", drawingAlone(stage));
  }

  // --- Pictures and colours ---------------------------------------------------------

  coloursOf({ picture }, node, centres) {
    const rows = node.shared ? 1 : (node.size[1] ?? 1);
    return picture.colours(node.size[0] ?? 1, rows, centres, node.shared);
  }

  /** Reads the page's colours in a form that canvases accept. */
  readColours() {
    const probe = el("span", {});
    document.body.append(probe);
    for (const name of ["a", "b"]) {
      probe.style.color = `var(--${name})`;
      this.colours[name] = getComputedStyle(probe).color;
    }
    probe.remove();
  }

  colour(name) {
    return this.colours[name];
  }

  async load(file) {
    this.say("");
    try {
      await Promise.all(this.models.map(({ picture }) => picture.load(file)));
    } catch (error) {
      this.say(error.message);
      return;
    }
    this.repaint();
  }

  repaint() {
    byId("test-picture").hidden = !this.models[0].picture.own;
    this.panes.forEach((pane) => {
      pane.showImage();
      pane.draw();
    });
    this.between.draw();
  }

  say(message) {
    byId("message").textContent = message;
    byId("message").hidden = !message;
  }

  toggleTheme() {
    const dark = matchMedia("(prefers-color-scheme: dark)").matches;
    const now = document.documentElement.dataset.theme ?? (dark ? "dark" : "light");
    document.documentElement.dataset.theme = now === "dark" ? "light" : "dark";
    this.recolour();
  }

  recolour() {
    this.readColours();
    this.panes.forEach((pane) => pane.draw());
    this.between.draw();
  }

  // --- Events -----------------------------------------------------------------------

  show(view) {
    VIEWS.forEach((name) => {
      byId(name).hidden = name !== view;
      byId(`tab-${name}`).setAttribute("aria-selected", String(name === view));
      byId(`tab-${name}`).tabIndex = name === view ? 0 : -1;
    });
    if (view === "table") this.table ??= new Table(this, byId("table"));
    if (view === "figure") this.figure ??= new Figure(this, byId("figure"));
    this.view = view;
    this.onShown();
  }

  listen() {
    const onClick = (id, action) => byId(id).addEventListener("click", action);
    VIEWS.forEach((name) => onClick(`tab-${name}`, () => this.show(name)));
    onClick("theme", () => this.toggleTheme());
    onClick("help-button", () => byId("help").showModal());
    onClick("compare", () => this.toggleCompare());
    onClick("save", () => this.save());
    onClick("mode-region", () => this.setMode("region"));
    onClick("mode-centres", () => this.setMode("centres"));
    onClick("fold", () => this.tree.foldAll());
    onClick("choose-image", () => byId("file").click());
    onClick("test-picture", () => {
      this.models.forEach(({ picture }) => picture.paint());
      this.repaint();
    });
    byId("file").addEventListener("change", ({ target }) => {
      if (target.files.length) this.load(target.files[0]);
      target.value = "";
    });
    byId("local").addEventListener("change", ({ target }) => this.setLocal(target.checked));
    const search = byId("search");
    search.addEventListener("input", () => this.tree.search(search.value));
    search.addEventListener("keydown", (event) => this.onSearchKey(event));
    document.querySelector("nav").addEventListener("keydown", (event) => this.onTabKey(event));
    document.addEventListener("keydown", (event) => this.onKey(event));
    document.addEventListener("dragover", (event) => event.preventDefault());
    document.addEventListener("drop", (event) => this.onDrop(event));
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.recolour());
  }

  onDrop(event) {
    event.preventDefault();
    const [file] = event.dataTransfer.files;
    if (file) this.load(file);
    else this.say("You dropped something that is not a file. Drop an image file.");
  }

  onSearchKey(event) {
    if (event.key === "Enter") {
      const found = this.tree.best();
      if (found) this.select(found.index);
    } else if (event.key === "Escape") {
      event.target.value = "";
      this.tree.search("");
      this.tree.reveal(this.pane.node.index);
      this.pane.map.focus();
    } else if (event.key === "ArrowDown") {
      this.tree.rows[0]?.element.focus();
    } else {
      return;
    }
    event.preventDefault();
    event.stopPropagation();
  }

  onTabKey(event) {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    event.stopPropagation();
    const next = VIEWS[(VIEWS.indexOf(this.view) + step + VIEWS.length) % VIEWS.length];
    this.show(next);
    byId(`tab-${next}`).focus();
  }

  onKey(event) {
    const typing = event.target.matches("input, select, textarea") || byId("help").open;
    if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
    const done = this.onCommonKey(event.key) || (this.view === "explore" && this.onExploreKey(event));
    if (done) event.preventDefault();
  }

  onCommonKey(key) {
    const actions = {
      "?": () => byId("help").showModal(),
      t: () => this.toggleTheme(),
      "/": () => {
        this.show("explore");
        byId("search").focus();
        byId("search").select();
      },
    };
    actions[key]?.();
    return key in actions;
  }

  onExploreKey(event) {
    const { pane } = this;
    const far = event.shiftKey ? 10 : 1;
    const steps = { ArrowLeft: [-far, 0], ArrowRight: [far, 0], ArrowUp: [0, -far], ArrowDown: [0, far] };
    const actions = {
      c: () => this.toggleCompare(),
      m: () => this.setMode(this.mode === "region" ? "centres" : "region"),
      "[": () => this.selectNext(-1),
      "]": () => this.selectNext(1),
      Escape: () => {
        pane.pinned = false;
        pane.draw();
      },
    };
    if (event.key in steps) {
      const feature = pane.feature.map((u, axis) => u + (steps[event.key][axis] ?? 0));
      this.point(pane, feature, "key");
    } else if (event.key === "Enter" && [pane.map, pane.stage].includes(event.target)) {
      this.togglePin(pane);
    } else if (event.key in actions) {
      actions[event.key]();
    } else {
      return false;
    }
    return true;
  }

  selectNext(step) {
    const { nodes } = this.network;
    let index = this.pane.node.index + step;
    while (nodes[index] && nodes[index].name === undefined) index += step;
    if (nodes[index]) this.select(index);
  }
}

const app = new App(JSON.parse(byId("data").textContent));
