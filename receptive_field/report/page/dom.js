"use strict";
/* Creates elements. Names come from models, so they are set only as text. */

const SVG = "http://www.w3.org/2000/svg";

function filled(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

function el(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

function svg(tag, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), attributes, children);
}

function byId(id) {
  return document.getElementById(id);
}

/** Returns a number as text. An unknown number is a dash. */
function shown(value) {
  if (value === null || value === undefined) return "–";
  if (value === "inf" || value === Infinity) return "∞";
  if (value === -Infinity) return "−∞";
  const text = Number.isInteger(value) ? String(value) : String(+value.toFixed(3));
  return text.replace("-", "−");
}

/** Returns one number per axis as text, or a single number if all are equal. */
function shownAll(values) {
  if (values === null || values === undefined) return "–";
  const texts = values.map(shown);
  return texts.every((text) => text === texts[0]) ? texts[0] : texts.join(" × ");
}

/** Returns the size of a node's map as text, on all axes that the map has. */
function shownSize(node) {
  const known = node.size.filter((size) => size !== null).slice(0, node.shared ? 1 : 3);
  return known.length ? known.join(" × ") : "no positions";
}

/** Returns the last two parts of a name with scopes. */
function shortName(name) {
  return name.split("/").slice(-2).join("/");
}

const STYLES = [
  ...["display", "visibility", "fill", "fill-opacity", "stroke", "stroke-width"],
  ...["stroke-dasharray", "stroke-linecap", "vector-effect", "image-rendering"],
];

/** Returns a drawing on the page as the text of an SVG file, which needs no style sheet. */
function drawingAlone(drawing) {
  const copy = drawing.cloneNode(true);
  [...drawing.children].forEach((part, i) => {
    const found = getComputedStyle(part);
    const styles = STYLES.map((name) => `${name}: ${found.getPropertyValue(name)}`);
    copy.children[i].setAttribute("style", styles.join("; "));
  });
  copy.removeAttribute("class");
  copy.removeAttribute("tabindex");
  copy.removeAttribute("style");
  return new XMLSerializer().serializeToString(copy);
}

/** Has the browser save a file. */
function saveFile(name, type, text) {
  const url = URL.createObjectURL(new Blob([text], { type }));
  el("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10000);
}

/** Returns a large number as text with a unit, such as 3.86 G. */
function shownLarge(value) {
  if (value === null || value === undefined) return "–";
  const units = ["", " k", " M", " G", " T", " P"];
  let unit = 0;
  let rest = value;
  for (; rest >= 1000 && unit < units.length - 1; unit++) rest /= 1000;
  return `${+rest.toPrecision(3)}${units[unit]}`;
}

/** Returns a function that calls the action at most once per frame, with the latest
 * arguments. */
function oncePerFrame(action) {
  let waiting = null;
  return (...given) => {
    const scheduled = waiting !== null;
    waiting = given;
    if (scheduled) return;
    requestAnimationFrame(() => {
      const latest = waiting;
      waiting = null;
      action(...latest);
    });
  };
}
