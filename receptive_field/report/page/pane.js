"use strict";
/* One layer: its map of features, the region of one feature on the image, and numbers. */

const MOST_DOTS = 10000;
const MOST_PATCHES = 4000;
const AXES = ["x", "y", "z"];
const IDLE = "Unproductive: whatever reaches this layer has already seen as much as the whole input, so it cannot widen what features see.";

class Pane {
  constructor(app, key) {
    this.app = app;
    this.key = key;
    this.pinned = false;
    this.build();
  }

  build() {
    const move = (find) => (event) => this.app.point(this, find(event), "hover");
    const pin = (find) => (event) => this.app.point(this, find(event), "pin");
    const keys = { tabindex: 0, role: "application" };
    const inMap = (event) => this.featureInMap(event);
    const onImage = (event) => this.featureOnImage(event);
    const pointing = (find) => ({ onpointermove: move(find), onpointerdown: pin(find) });
    this.stage = svg("svg", { class: "stage", ...keys, ...pointing(onImage) });
    this.map = el("canvas", { class: "map", ...keys, ...pointing(inMap) });
    this.heading = el("h2", {});
    this.badges = el("p", { class: "badges" });
    this.reason = el("div", { class: "reason", hidden: true });
    this.ops = el("div", { class: "ops" });
    this.opened = el("details", { class: "attributes", ontoggle: () => this.drawOps() }, el("summary", {}, "Attributes"), this.ops);
    this.pinButton = el("button", { class: "pin", "aria-pressed": "false", onclick: () => this.app.togglePin(this) }, "Pin");
    this.numbers = el("dl", { class: "numbers" });
    this.formula = el("p", { class: "formula" });
    this.slider = el("label", { class: "slice", hidden: true });
    this.profiles = el("div", { class: "profiles" });
    this.further = el("p", { class: "hint" }, "The region extends beyond the drawing, where there are arrows.");
    const mapName = el("h3", {}, "Its map of features");
    this.chooser = this.app.isOne ? null : this.modelChooser();
    this.element = el(
      "article",
      { class: "pane", "data-pane": this.key, onpointerenter: () => this.app.focusPane(this), onfocusin: () => this.app.focusPane(this) },
      el("div", { class: "head" }, this.chooser, this.heading, this.pinButton, this.badges, this.reason, this.opened),
      el(
        "div",
        { class: "body" },
        el("div", {}, this.stage, this.further),
        el("div", { class: "lower" }, el("div", {}, mapName, this.map, this.slider), el("div", { class: "told" }, this.numbers, this.formula)),
      ),
      this.profiles,
    );
    this.buildStage();
  }

  buildStage() {
    const parts = {
      outside: svg("rect", { class: "outside" }),
      image: svg("image", { x: 0, y: 0, preserveAspectRatio: "none" }),
      shade: svg("path", { class: "shade", "fill-rule": "evenodd" }),
      frame: svg("rect", { class: "frame", x: 0, y: 0 }),
      dots: svg("path", { class: "dots" }),
      other: svg("rect", { class: "region other" }),
      local: svg("rect", { class: "region local" }),
      region: svg("rect", { class: "region" }),
      clipped: svg("rect", { class: "clipped" }),
      cutOther: svg("path", { class: "cut cut-other" }),
      cutLocal: svg("path", { class: "cut cut-local" }),
      cut: svg("path", { class: "cut" }),
      centre: svg("path", { class: "centre" }),
    };
    this.parts = parts;
    this.stage.append(...Object.values(parts));
  }

  // --- The current choice -----------------------------------------------------------

  select(index, model = this.model) {
    if (model !== this.model) this.setModel(model);
    const { network } = model;
    this.node = network.nodes[index];
    this.columns = this.node.size[0] ?? 1;
    this.rows = this.node.shared ? 1 : (this.node.size[1] ?? 1);
    this.pinned = false;
    this.cone = coneOf(network, index);
    this.centres = centresOf(model, this.node);
    this.feature = this.node.size.map((size) => Math.floor(((size ?? 1) - 1) / 2));
    this.describe();
    this.fitStage();
    this.point(this.feature);
  }

  setModel(model) {
    this.model = model;
    const { width, height } = model.picture;
    for (const part of [this.parts.image, this.parts.frame]) filled(part, { width, height }, []);
    this.element.querySelector(".body").classList.toggle("strip", model.sizes.length < 2);
    if (this.chooser) this.chooser.value = this.app.models.indexOf(model);
  }

  /** Returns a control that shows another model in this pane. */
  modelChooser() {
    const { models } = this.app;
    const onchange = ({ target }) => {
      const model = models[target.value];
      this.app.focusPane(this);
      this.app.select(model.counterpart(this.node), model);
    };
    const options = models.map(({ title }, number) => el("option", { value: number }, title));
    return el("select", { class: "model", "aria-label": "Model of this pane", onchange }, ...options);
  }

  /** Returns the maps to the input, either of all paths or only of local paths. */
  maps() {
    return this.app.local && this.node.local ? this.node.local : this.node.map;
  }

  /** Moves to a feature, or the nearest one inside the map, and draws what it sees. */
  point(feature) {
    const { app, node } = this;
    const kept = feature.map((value, axis) => {
      const last = (node.size[axis] ?? 1) - 1;
      return Math.max(0, Math.min(last, Math.round(value)));
    });
    if (node.shared) kept.fill(kept[0]);
    this.feature = kept;
    this.region = regionOf(this.maps(), kept);
    this.seen = follow(this.model.network, node.index, kept, app.local);
    const seen = this.seen[0];
    this.clipped = seen === undefined ? null : seen.map(hullOf);
    this.draw();
  }

  /** Returns the numbers that belong to these maps. */
  told() {
    return this.app.local && this.node.local ? this.node.near : this.node;
  }

  // --- Pointing ---------------------------------------------------------------------

  featureInMap(event) {
    const box = this.map.getBoundingClientRect();
    const place = [
      Math.floor(((event.clientX - box.left) / box.width) * this.columns),
      Math.floor(((event.clientY - box.top) / box.height) * this.rows),
    ];
    return this.feature.map((value, axis) => (axis < 2 && this.node.size[axis] !== null ? place[axis] : value));
  }

  featureOnImage(event) {
    const onPage = new DOMPoint(event.clientX, event.clientY);
    const { x, y } = onPage.matrixTransform(this.stage.getScreenCTM().inverse());
    return this.nearest([x - 0.5, y - 0.5]);
  }

  /** Returns the feature whose centre is nearest to a place in the input. */
  nearest(place) {
    return this.feature.map((value, axis) => {
      if (!(axis in place)) return value;
      const apart = this.centres[axis].map((centre) => Math.abs(centre - place[axis]));
      return apart.indexOf(apart.reduce((a, b) => Math.min(a, b), Infinity));
    });
  }

  /** Moves to the feature whose centre is nearest to that of another pane's feature. */
  follow(other) {
    const scale = this.model.scaleFrom(other.model);
    if (scale) this.point(this.nearest(other.place().map((at, axis) => (at + 0.5) * scale[axis] - 0.5)));
  }

  /** Returns the centre of the feature in the input. */
  place() {
    return this.feature.map((u, axis) => this.centres[axis][u]);
  }

  // --- Words and numbers ------------------------------------------------------------

  describe() {
    const { node } = this;
    this.heading.textContent = node.name;
    const badge = (kind, text, title) => el("span", { class: `badge ${kind}`, title }, text);
    this.reason.hidden = true;
    const aligned = {
      true: ["good", "aligned", "All paths have the same stride and the same centres."],
      false: ["bad", "misaligned", "Paths with different strides or centres meet."],
      null: ["", "alignment unknown", "The padding of a layer is not known."],
    }[String(node.aligned)];
    const exact = node.exact
      ? ["good", "exact", "Both ends of every region matter."]
      : ["bad", "upper bound", "Regions may be too large, but never too small."];
    const alignment = node.aligned === false ? this.whyBadge(...aligned) : badge(...aligned);
    const badges = [badge("op", node.op, "The class of the layer, or the op of the node"), alignment, badge(...exact)];
    if (node.idle) badges.push(badge("bad", "unproductive", IDLE));
    if (node.whole) badges.push(badge("", "sees the whole input", `By ${node.whole.join(", ")}`));
    this.badges.replaceChildren(...badges);
    const name = `${node.name}, ${shownSize(node)} features`;
    this.map.setAttribute("aria-label", `Map of ${name}. Arrow keys move the feature, Enter pins it.`);
    this.drawOps();
    this.stage.setAttribute("aria-label", `The input, with the region that a feature of ${name} sees.`);
  }

  /** Lists the ops of the layer, if the list is open. */
  drawOps() {
    this.ops.replaceChildren(...(this.opened.open ? opsOf(this.app, this.model, this.node) : []));
  }

  /** Returns a badge that opens the reason below it. */
  whyBadge(kind, text, title) {
    const opened = () => {
      this.reason.hidden = !this.reason.hidden;
      button.setAttribute("aria-expanded", String(!this.reason.hidden));
      if (!this.reason.hidden) this.reason.replaceChildren(...reasonsOf(this.app, this));
    };
    const button = el("button", { class: `badge ${kind}`, title: `${title} Click for the reason.`, "aria-expanded": "false", onclick: opened }, `${text} – why?`);
    return button;
  }

  drawNumbers() {
    const { node, feature, region } = this;
    const rows = [["feature", this.shownFeature()]];
    feature.forEach((u, axis) => {
      const name = AXES[axis];
      if (!region) return;
      const [first, last] = region[axis];
      const size = last - first + 1;
      const text = first === -Infinity && last === Infinity ? "all of it" : `${shown(first)} … ${shown(last)}`;
      rows.push([`sees on ${name}`, text, Number.isFinite(size) ? `${size}` : null]);
      const clipped = this.clipped?.[axis];
      if (clipped && (clipped[0] !== first || clipped[1] !== last)) {
        const most = this.seen.bounds.has(0) ? "at most " : "";
        rows.push(["· in the input", `${most}${clipped[0]} … ${clipped[1]}`, `${clipped[1] - clipped[0] + 1}`]);
      }
    });
    if (!region) rows.push(["sees", node.map.includes(null) ? "not known: depends on an unknown padding" : "nothing of the input"]);
    else if (!this.clipped) rows.push(["· in the input", "nothing but padding"]);
    rows.push(
      ["receptive field r", shownAll(this.told().rf)],
      ["stride S", shownAll(this.told().stride)],
      ["padding P", shownAll(this.told().padding)],
      ["centre", this.shownCentre()],
    );
    this.numbers.replaceChildren(
      ...rows.flatMap(([name, text, size]) => [
        el("dt", {}, name),
        el("dd", {}, text, size ? el("small", {}, ` ${size} px`) : null),
      ]),
    );
    this.formula.textContent = this.shownFormula();
  }

  shownFeature() {
    const own = this.feature.filter((_, axis) => this.node.size[axis] !== null);
    if (!own.length) return "the only one";
    const place = this.node.shared ? own[0] : `(${own.join(", ")})`;
    return `${place} of ${shownSize(this.node)}`;
  }

  shownCentre() {
    if (!this.region) return "–";
    const centres = this.region.map(([first, last]) => (first + last) / 2);
    return centres.every(Number.isFinite) ? `(${centres.map(shown).join(", ")})` : "–";
  }

  shownFormula() {
    const { stride, padding, rf } = this.told();
    if (!this.region || ![stride[0], padding[0], rf[0]].every(Number.isFinite)) return "";
    const [first, last] = this.region[0];
    const u = this.feature[0];
    return `x:  u·S − P = ${u}·${stride[0]} − ${shown(padding[0])} = ${shown(first)}\n   + r − 1 = ${shown(last)}`;
  }

  // --- Drawing ----------------------------------------------------------------------

  /** Sets how much is shown around the image: as far as regions reach, up to half of the
   * image's size. */
  fitStage() {
    const { width, height } = this.model.picture;
    const sizes = [width, height];
    const margins = sizes.map((size, axis) => {
      if (!(axis in this.model.sizes)) return 0;
      const last = (this.node.size[axis] ?? 1) - 1;
      const ends = [0, last].map((u) => this.maps()[axis] && windowOf(this.maps()[axis], u));
      const reach = ends.flatMap((w) => (w ? [-w[0], w[1] - size + 1] : []));
      const finite = reach.filter(Number.isFinite);
      return Math.min(Math.max(0, ...finite), size / 2) + size * 0.03;
    });
    const margin = this.model.sizes.length > 1 ? Math.max(...margins) : null;
    const [x, y] = margin === null ? [margins[0], height * 0.15] : [margin, margin];
    this.view = [-x, -y, width + 2 * x, height + 2 * y];
    this.stage.setAttribute("viewBox", this.view.join(" "));
    this.stage.style.aspectRatio = `${this.view[2]} / ${this.view[3]}`;
    const [left, top, w, h] = this.view;
    place(this.parts.outside, [left, left + w - 1], [top, top + h - 1]);
    this.showImage();
    this.drawDots();
    this.sizeMap();
  }

  showImage() {
    const { picture } = this.model;
    this.parts.image.setAttribute("href", picture.url);
    this.parts.image.classList.toggle("coarse", picture.width <= 160);
    this.colours = this.app.coloursOf(this.model, this.node, this.centres);
  }

  drawDots() {
    const { dots } = this.parts;
    const on = this.app.mode === "centres";
    dots.style.display = on ? "" : "none";
    if (!on) return;
    const every = Math.ceil(Math.sqrt((this.columns * this.rows) / MOST_DOTS));
    const xs = this.centres[0].filter((_, u) => u % every === 0);
    const ys = (this.node.shared ? this.centres[1] : this.centres[1]?.filter((_, v) => v % every === 0)) ?? [this.model.picture.height / 2 - 0.5];
    let path = "";
    xs.forEach((x, u) => {
      const column = this.node.shared ? [ys[u]] : ys;
      column.forEach((y) => (path += `M${x + 0.5} ${y + 0.5}h0`));
    });
    dots.setAttribute("d", path);
    dots.dataset.count = (path.match(/M/g) ?? []).length;
    dots.dataset.every = every;
  }

  sizeMap() {
    const longest = Math.max(this.columns, this.rows);
    const cell = Math.max(1, Math.min(28, Math.floor(230 / longest)));
    this.cell = cell;
    const scale = Math.ceil(window.devicePixelRatio || 1);
    const across = Math.min(230, this.columns * cell);
    this.map.width = this.columns * cell * scale;
    this.map.height = (this.rows > 1 ? this.rows * cell : 26) * scale;
    this.map.style.width = `${Math.max(across, 24)}px`;
    this.map.style.aspectRatio = this.rows > 1 ? `${this.columns} / ${this.rows}` : "";
    this.map.style.height = this.rows > 1 ? "" : "26px";
    this.makeSlider();
  }

  /** Makes a slider for the third axis, if there is one. */
  makeSlider() {
    const depth = this.node.size[2];
    this.slider.hidden = !depth || depth < 2;
    if (this.slider.hidden) return;
    const move = (event) => this.app.point(this, [...this.feature.slice(0, 2), +event.target.value], "pin");
    this.slice = el("input", { type: "range", min: 0, max: depth - 1, value: this.feature[2], oninput: move });
    this.slider.replaceChildren("z of the feature ", this.slice);
  }

  draw() {
    this.drawStage();
    this.drawMap();
    this.drawNumbers();
    this.drawProfiles();
    this.pinButton.setAttribute("aria-pressed", String(this.pinned));
    this.pinButton.textContent = this.pinned ? "Pinned" : "Pin";
  }

  drawStage() {
    const { parts, region, stage, feature } = this;
    stage.dataset.layer = this.node.name;
    stage.dataset.feature = feature.join(",");
    stage.dataset.region = region ? region.flat().join(",") : "";
    stage.dataset.clipped = this.clipped ? this.clipped.flat().join(",") : "";
    const across = (axis, ends) => (axis in this.model.sizes ? ends[axis] : [0, this.model.picture.height - 1]);
    const drawn = (rect, ends, cut = null) => {
      rect.style.display = ends ? "" : "none";
      const places = ends ? [across(0, ends), across(1, ends)] : null;
      if (ends) place(rect, this.within(places[0], 0), this.within(places[1], 1));
      cut?.setAttribute("d", ends ? this.cutPath(places) : "");
    };
    drawn(parts.region, region, parts.cut);
    this.further.hidden = !parts.cut.getAttribute("d");
    drawn(parts.clipped, this.clipped);
    const local = this.node.local && !this.app.local ? regionOf(this.node.local, feature) : null;
    drawn(parts.local, local, parts.cutLocal);
    const other = this.app.panes.find((pane) => pane !== this && pane.region);
    drawn(parts.other, other ? this.regionOfOther(other) : null, parts.cutOther);
    parts.shade.setAttribute("d", this.shadePath());
    const centre = (axis) => (axis in this.model.sizes ? this.place()[axis] : this.model.picture.height / 2 - 0.5) + 0.5;
    const arm = this.view[2] / 60;
    parts.centre.setAttribute("d", `M${centre(0) - arm} ${centre(1)}h${2 * arm}m${-arm} ${-arm}v${2 * arm}`);
  }

  /** Returns the path of arrows at the edges of the drawing beyond which an outline goes:
   * two in the middle of each side that is cut. */
  cutPath(outline) {
    const arm = this.view[2] / 45;
    const edges = [0, 1].map((axis) => [this.view[axis], this.view[axis] + this.view[axis + 2]]);
    const ends = outline.map(([first, last]) => [first, last + 1]);
    const inside = ends.map(([first, last], axis) => [Math.max(first, edges[axis][0]), Math.min(last, edges[axis][1])]);
    if (inside.some(([first, last]) => first >= last)) return "";
    let path = "";
    for (const [axis, end] of [[0, 0], [0, 1], [1, 0], [1, 1]]) {
      const out = end ? 1 : -1;
      if (out * (ends[axis][end] - edges[axis][end]) <= 0) continue;
      const [first, last] = inside[1 - axis];
      const middle = (first + last) / 2;
      for (const apart of [0, 1]) {
        const tip = edges[axis][end] - out * arm * (0.4 + 0.7 * apart);
        const points = [[tip - out * arm, middle - arm], [tip, middle], [tip - out * arm, middle + arm]];
        path += `M${points.map((point) => (axis ? [...point].reverse() : point).join(" ")).join("L")}`;
      }
    }
    return path;
  }

  /** Returns the region of another pane's feature in this input; null if there is none. */
  regionOfOther(other) {
    const scale = this.model.scaleFrom(other.model);
    return scale && other.region.map(([first, last], axis) => [first * scale[axis], (last + 1) * scale[axis] - 1]);
  }

  /** Returns an interval, clipped to the stage and one stage length on either side. */
  within([first, last], axis) {
    const start = this.view[axis];
    const length = this.view[axis + 2];
    return [Math.max(first, start - length), Math.min(last, start + 2 * length)];
  }

  /** Returns the path that shades the parts of the image that the feature does not see. */
  shadePath() {
    const { width, height } = this.model.picture;
    let path = `M0 0H${width}V${height}H0Z`;
    patchesOf(this.seen[0], [width, height]).forEach(([x, y]) => {
      path += `M${x[0]} ${y[0]}H${x[1] + 1}V${y[1] + 1}H${x[0]}Z`;
    });
    return path;
  }

  drawMap() {
    const { map, columns, rows } = this;
    const context = map.getContext("2d");
    const [cell, tall] = [map.width / columns, map.height / rows];
    context.imageSmoothingEnabled = false;
    context.clearRect(0, 0, map.width, map.height);
    context.globalAlpha = 0.75;
    context.drawImage(this.colours, 0, 0, map.width, map.height);
    context.globalAlpha = 1;
    if (cell >= 6) drawGrid(context, columns, rows, cell, tall);
    const [u, v] = [this.feature[0], this.node.shared ? 0 : (this.feature[1] ?? 0)];
    const [width, height] = [Math.max(cell, 7), Math.max(tall, 7)];
    const box = [(u + 0.5) * cell - width / 2, (v + 0.5) * tall - height / 2, width, height];
    context.lineWidth = 5;
    context.strokeStyle = "#fff";
    context.strokeRect(...box);
    context.lineWidth = this.pinned ? 4 : 2.5;
    context.strokeStyle = this.app.colour(this.key);
    context.strokeRect(...box);
    map.dataset.feature = this.feature.join(",");
    if (this.slice) this.slice.value = this.feature[2];
  }

  drawProfiles() {
    const seen = this.seen[0];
    const weights = weightsOf(this.model.network, this.node);
    const drawn = this.model.sizes.map((size, axis) => this.profile(axis, size, seen?.[axis], weights));
    this.profiles.replaceChildren(...drawn, this.weightsNote(weights));
  }

  profile(axis, size, set, weights) {
    const runs = set ? runsOf(set) : [];
    const bars = runs.map(([first, last]) => `M${first} 0H${last + 1}V40H${first}Z`).join("");
    const count = runs.reduce((sum, [first, last]) => sum + last - first + 1, 0);
    const hull = set ? hullOf(set) : null;
    const holes = hull ? hull[1] - hull[0] + 1 - count : 0;
    const picture = svg(
      "svg",
      { viewBox: `0 0 ${size} 40`, preserveAspectRatio: "none", "data-runs": JSON.stringify(runs), role: "img", "aria-label": `Positions seen on ${AXES[axis]}: ${count} of ${size}` },
      svg("path", { class: "bars", d: bars }),
    );
    const points = weights ? this.weightPoints(axis, size, weights) : "";
    if (points) picture.append(svg("polyline", { class: "weights", points }));
    const text = `${AXES[axis]}: ${count} of ${size}${holes ? `, ${holes} in holes` : ""}`;
    return el("figure", {}, el("figcaption", {}, text), picture);
  }

  /** Returns how far to move the profile of the middle feature on an axis to get the
   * profile of this feature. Null if the two differ in more than their place. */
  movedBy(axis, weights) {
    const steps = this.feature[axis] - weights.at[axis];
    const { stride, padding } = this.node.near ?? this.node;
    const alike = Number.isInteger(stride[axis]) && padding[axis] !== null;
    return steps && !alike ? null : steps * (stride[axis] ?? 0);
  }

  weightPoints(axis, size, weights) {
    const [start, ...values] = weights.axes[axis] ?? weights.axes[0];
    const moved = this.movedBy(axis, weights);
    if (moved === null) return "";
    const points = values.map((value, i) => [start + i + moved, value]);
    const inside = points.filter(([x]) => x >= 0 && x < size);
    return inside.map(([x, value]) => `${x + 0.5},${39 - (value / 999) * 37}`).join(" ");
  }

  weightsNote(weights) {
    return el("p", { class: "hint" }, `Bars: positions seen. ${this.curveNote(weights)}`);
  }

  curveNote(weights) {
    if (!weights) return "The page has no data on how much each position matters for this layer. Use field.effective_receptive_field().";
    const at = `feature (${weights.at.join(", ")})`;
    if (this.model.sizes.some((_, axis) => this.movedBy(axis, weights) === null))
      return `The page shows how much each position matters only for ${at}, because other features differ from it in more than their place. Use field.effective_receptive_field() for other features.`;
    const what = `how much each position matters (expected squared gradient with random weights${weights.assumed ? "; partly assumed" : ""})`;
    return `Curve: ${what}, computed for ${at} and moved here without regard to the border; 95 % lie within ${shownAll(weights.wide)} px.`;
  }
}

/** Places a rect over the first to last position on each axis. A position is one unit
 * wide. */
function place(rect, [left, right], [top, bottom]) {
  rect.setAttribute("x", left);
  rect.setAttribute("y", top);
  rect.setAttribute("width", Math.max(0, right - left + 1));
  rect.setAttribute("height", Math.max(0, bottom - top + 1));
}

/** Returns the sets of x and y as rectangles, which are pairs of runs. If there would be
 * too many rectangles, returns only their hull. */
function patchesOf(seen, sizes) {
  if (seen === undefined) return [];
  const runs = [0, 1].map((axis) => (seen[axis] ? runsOf(seen[axis]) : [[0, sizes[axis] - 1]]));
  if (runs.some((list) => !list.length)) return [];
  const hull = (list) => [[list[0][0], list[list.length - 1][1]]];
  const [xs, ys] = runs[0].length * runs[1].length > MOST_PATCHES ? runs.map(hull) : runs;
  return xs.flatMap((x) => ys.map((y) => [x, y]));
}

function drawGrid(context, columns, rows, cell, tall) {
  context.strokeStyle = "#0003";
  context.lineWidth = 1;
  context.beginPath();
  for (let u = 1; u < columns; u++) {
    context.moveTo(u * cell, 0);
    context.lineTo(u * cell, rows * tall);
  }
  for (let v = 1; v < rows; v++) {
    context.moveTo(0, v * tall);
    context.lineTo(columns * cell, v * tall);
  }
  context.stroke();
}

/** Returns the centres of a node's features in the input, for each axis. Features without
 * a centre, for example if they see a whole axis, are spread evenly. */
function centresOf({ sizes }, node) {
  const maps = node.local ?? node.map;
  return node.size.map((size, axis) => {
    const last = sizes[axis] - 1;
    const spread = (u) => (size > 1 ? (u / (size - 1)) * last : last / 2);
    return Float64Array.from({ length: size ?? 1 }, (_, u) => {
      const window = maps[axis] === null ? null : windowOf(maps[axis], u);
      const centre = window === null ? NaN : (window[0] + window[1]) / 2;
      return Number.isFinite(centre) ? centre : spread(u);
    });
  });
}

/** Returns the indices of a node and of all nodes that it is computed from. */
function coneOf(network, index) {
  const found = new Set([index]);
  for (let upper = index; upper > 0; upper--) {
    if (found.has(upper)) network.nodes[upper].from.forEach(([below]) => found.add(below));
  }
  return found;
}

/** Returns the effective weights of a node, or of the node whose features it passes on. */
function weightsOf(network, node) {
  let current = node;
  while (!current.weights && current.same) current = network.nodes[current.from[0][0]];
  return current.weights ?? null;
}
