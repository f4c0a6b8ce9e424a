/* What differs between two open files: the library's comparison, as tables. */

import { element } from "./elements.js";

const VERDICTS = new Map([[true, "same"], [false, "differs"], [null, "unknown"]]);

export class Differences {
  /** Args: the `details` element to fill, and a function `ask` of a file, a question, and
   * another file. */
  constructor(details, ask) {
    this.details = details;
    this.shown = details.querySelector("div");
    this.ask = ask;
  }

  hide() {
    this.asked = null;
    this.shown.replaceChildren();
    this.details.hidden = true;
  }

  /** Compares what two views show now. */
  async show(a, b) {
    this.hide();
    const question = { ...a.shown(), other: b.shown() };
    this.asked = question;
    let told;
    try {
      told = tables(await this.ask(a.file, question, b.file));
    } catch (error) {
      told = [element("p", { class: "error" }, error.message)];
    }
    if (this.asked !== question) return; // Something else is shown now.
    this.shown.replaceChildren(...told);
    this.details.hidden = false;
  }
}

function tables({ names, ends, rows, layers, same, only }) {
  const line = (title, end, values) =>
    element("tr", {}, heading(title), cell(end), ...values.map((value, index) => cell(value, rows[index][3] === false)));
  const found = [
    table(["", "output", ...rows.map(([name]) => name)], [
      line(`A: ${names[0]}`, ends[0], rows.map(([, a]) => a)),
      line(`B: ${names[1]}`, ends[1], rows.map(([, , b]) => b)),
      line("", "", rows.map(([, , , isSame]) => VERDICTS.get(isSame))),
    ]),
  ];
  const different = new Set(layers.map(([name]) => name)).size;
  const both = different + same;
  if (both) {
    const summary = `${different} of ${both} layers or nodes of the same name differ`;
    const inside = layers.map(([name, row], index) =>
      element("tr", {}, heading(name === layers[index - 1]?.[0] ? "" : name), ...row.slice(0, 3).map((text) => cell(text))));
    found.push(folded(summary, table(["layer", "", "A", "B"], inside)));
  }
  only.forEach((every, side) => {
    if (every.length) found.push(folded(`${every.length} only in ${"AB"[side]}`, element("p", { class: "names" }, every.join("\n"))));
  });
  return found;
}

function cell(text, differs = false) {
  return element("td", differs ? { class: "differs" } : {}, text);
}

function heading(text) {
  return element("th", { scope: "row" }, text);
}

function table(columns, rows) {
  const head = element("tr", {}, ...columns.map((text) => element(text ? "th" : "td", text ? { scope: "col" } : {}, text)));
  return element("table", {}, element("thead", {}, head), element("tbody", {}, ...rows));
}

function folded(summary, inside) {
  return element("details", {}, element("summary", {}, summary), inside);
}
