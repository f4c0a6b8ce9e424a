"use strict";
/* What is shown, as the part of the page's address behind "#". A link restores it. */

const VIEWS = ["explore", "table", "figure"];
const MODES = ["region", "centres"];

/** Returns the address of what is shown: the view, and the layer and feature of each
 * pane, with the model if there are several. */
function addressOf(app) {
  const parts = new URLSearchParams();
  if (app.view !== VIEWS[0]) parts.set("view", app.view);
  for (const { node, feature, model } of app.panes) {
    if (!app.isOne) parts.append("model", model.title);
    parts.append("layer", node.name);
    parts.append("feature", feature.join(","));
  }
  if (app.mode !== MODES[0]) parts.set("mode", app.mode);
  if (app.local) parts.set("paths", "local");
  return `#${parts}`;
}

/** Shows what an address says. What this page does not have is said in a sentence. */
function showAddress(app, address) {
  const parts = new URLSearchParams(address.slice(1));
  const said = [];
  const names = parts.getAll("layer").slice(0, 2);
  const places = parts.getAll("feature");
  const titles = parts.getAll("model");
  const asked = names.map((name, i) => {
    const model = i in titles ? app.models.find(({ title }) => title === titles[i]) : app.models[0];
    if (!model) said.push(`The link names the model ${JSON.stringify(titles[i])}, which is not on this page.`);
    const node = model?.nodeNamed(name);
    if (model && !node) said.push(`The link names the layer ${JSON.stringify(name)}, which is not ${app.isOne ? "on this page" : `in ${model.title}`}.`);
    return { place: places[i], node, model };
  });
  const found = asked.filter(({ node }) => node);
  if (found.length && found.length !== app.panes.length) app.toggleCompare();
  found.forEach(({ node, model, place }, i) => {
    const pane = app.panes[i];
    pane.select(node.index, model);
    const feature = featureIn(node, place);
    if (feature) app.point(pane, feature, "pin");
    else if (place !== undefined) said.push(`The link names the feature ${JSON.stringify(place)}, which ${node.name} does not have: its map is ${shownSize(node)}.`);
  });
  if (MODES.includes(parts.get("mode"))) app.setMode(parts.get("mode"));
  byId("local").checked = parts.get("paths") === "local" && !byId("local-label").hidden;
  app.setLocal(byId("local").checked);
  if (VIEWS.includes(parts.get("view") ?? VIEWS[0])) app.show(parts.get("view") ?? VIEWS[0]);
  else said.push(`The link names the view ${JSON.stringify(parts.get("view"))}; there are ${VIEWS.join(", ")}.`);
  app.focusPane(app.panes[0]);
  app.markApart();
  app.shown();
  app.say(said.join(" "));
}

/** Returns the coordinates of a feature that a node has, from text; else null. */
function featureIn(node, text) {
  if (!/^\d+(,\d+)*$/.test(text ?? "")) return null;
  const feature = text.split(",").map(Number);
  const fits = feature.length === node.size.length && feature.every((u, axis) => u < (node.size[axis] ?? 1));
  return fits ? feature : null;
}

/** Keeps the address of the page up to date. A page inside another one has none. */
function keepAddress(app) {
  if (window.parent !== window) return;
  let waiting;
  app.onShown = () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => history.replaceState(null, "", addressOf(app)), 250);
  };
  if (location.hash.length > 1) showAddress(app, location.hash);
  addEventListener("hashchange", () => {
    if (location.hash !== addressOf(app)) showAddress(app, location.hash);
  });
}
