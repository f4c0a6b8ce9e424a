"use strict";
/* A small map for each layer between the input and the chosen layer. It shows what the
 * chosen feature sees. Only maps in view are drawn. */

class Between {
  constructor(app) {
    this.app = app;
    this.root = byId("thumbs");
    this.inView = new Set();
    const watch = (entries) =>
      entries.forEach(({ target, isIntersecting }) => {
        const thumb = this.thumbs.get(target);
        if (!thumb) return;
        if (isIntersecting) this.inView.add(thumb);
        else this.inView.delete(thumb);
        if (isIntersecting) this.drawOne(thumb);
      });
    this.observer = new IntersectionObserver(watch, { rootMargin: "100px" });
    this.thumbs = new Map();
  }

  /** Lists the layers below the chosen one, without layers that only pass values on. */
  list(pane) {
    this.pane = pane;
    this.observer.disconnect();
    this.inView.clear();
    this.thumbs.clear();
    const { nodes } = pane.model.network;
    const below = [...pane.cone].sort((a, b) => b - a).map((index) => nodes[index]);
    const chosen = below.filter((node) => node.name !== undefined && (!node.same || node === pane.node));
    this.root.replaceChildren(...chosen.map((node) => this.made(node)));
    for (const element of this.thumbs.keys()) this.observer.observe(element);
  }

  made(node) {
    const columns = node.size[0] ?? 1;
    const rows = node.shared ? 1 : (node.size[1] ?? 1);
    const scale = 64 / Math.max(columns, rows);
    const [width, height] = [columns * scale, Math.max(rows * scale, 8)].map(Math.round);
    const canvas = el("canvas", { width: 2 * width, height: 2 * height, style: `width:${width}px;height:${height}px` });
    const note = el("span", { class: "note" }, "");
    const element = el(
      "button",
      { class: "thumb", title: `${node.name} (${node.op})`, "data-node": node.index, onclick: () => this.app.select(node.index) },
      canvas,
      el("span", { class: "name" }, shortName(node.name)),
      el("span", { class: "note" }, shownSize(node)),
      note,
    );
    this.thumbs.set(element, { node, canvas, note, element, columns, rows, centres: null });
    return element;
  }

  draw() {
    this.inView.forEach((thumb) => this.drawOne(thumb));
  }

  drawOne(thumb) {
    const { node, canvas, columns, rows } = thumb;
    const { app, pane } = this;
    const seen = pane.seen[node.index];
    const context = canvas.getContext("2d");
    const { width, height } = canvas;
    const { model } = pane;
    if (!thumb.colours || thumb.url !== model.picture.url) {
      thumb.centres ??= centresOf(model, node);
      thumb.colours = app.coloursOf(model, node, thumb.centres);
      thumb.url = model.picture.url;
    }
    context.imageSmoothingEnabled = columns > width;
    context.globalAlpha = 1;
    context.fillStyle = "#0a1018";
    context.fillRect(0, 0, width, height);
    context.globalAlpha = 0.28;
    context.drawImage(thumb.colours, 0, 0, width, height);
    context.globalAlpha = 1;
    const sets = seen && (node.shared ? [seen[0], null] : seen);
    const patches = sets ? patchesOf(sets, [columns, rows]) : [];
    const [cellX, cellY] = [width / columns, height / rows];
    if (patches.length) {
      context.save();
      context.beginPath();
      patches.forEach(([x, y]) =>
        context.rect(x[0] * cellX, y[0] * cellY, (x[1] - x[0] + 1) * cellX, (y[1] - y[0] + 1) * cellY),
      );
      context.clip();
      context.drawImage(thumb.colours, 0, 0, width, height);
      context.restore();
      this.outline(context, patches, cellX, cellY);
    }
    const hulls = sets ? sets.filter((set) => set).map(hullOf) : [];
    thumb.element.dataset.seen = seen ? hulls.flat().join(",") : "";
    const most = pane.seen.bounds.has(node.index) ? "at most " : "";
    thumb.note.textContent = seen ? most + hulls.map(([a, b]) => (a === b ? `${a}` : `${a}…${b}`)).join(", ") : "unseen";
  }

  outline(context, patches, cellX, cellY) {
    const [[left], [top]] = patches[0];
    const [[, right], [, bottom]] = patches[patches.length - 1];
    context.strokeStyle = this.app.colour(this.pane.key);
    context.lineWidth = 3;
    const [w, h] = [(right - left + 1) * cellX, (bottom - top + 1) * cellY];
    const inside = (value, size) => Math.max(1.5, Math.min(value, size - 1.5));
    const [x0, y0] = [inside(left * cellX, context.canvas.width), inside(top * cellY, context.canvas.height)];
    const x1 = inside(left * cellX + w, context.canvas.width);
    const y1 = inside(top * cellY + h, context.canvas.height);
    context.strokeRect(Math.min(x0, x1 - 3), Math.min(y0, y1 - 3), Math.max(3, x1 - x0), Math.max(3, y1 - y0));
  }
}
