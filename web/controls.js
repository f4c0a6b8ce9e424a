/* One open file: the controls, the explorer of the answer in a frame, and downloads.
 *
 * The frame has no origin of its own and may only run the explorer's scripts and
 * frame.js (see the policy in index.html). Everything that comes from a file is set as
 * text. */

import { element } from "./elements.js";

const BRIDGE = fetch(new URL("frame.js", import.meta.url)).then((response) => response.text());

let number = 0;

export class View {
  /** Args: the name and the content of the file, and the app, which can `ask` questions,
   * `close` this view, and is told when the view has `answered`. */
  constructor(name, content, app) {
    this.file = { number: number++, name, content };
    this.app = app;
    this.form = element("form", { "aria-label": `Questions about ${name}` });
    this.input = element("select", { name: "input" });
    this.output = element("input", { name: "output", type: "text", list: `outputs-${number}`, placeholder: "all layers", autocomplete: "off", spellcheck: "false" });
    this.outputs = element("datalist", { id: `outputs-${number}` });
    this.sizes = element("input", { name: "sizes", type: "text", placeholder: "as the model states", title: "HEIGHTxWIDTH, such as 224x320", autocomplete: "off" });
    this.signature = element("input", { name: "signature", type: "text", autocomplete: "off" });
    this.local = element("input", { name: "local", type: "checkbox" });
    this.note = element("p", { class: "note" });
    this.error = element("p", { class: "error", role: "alert", hidden: "" });
    this.frame = element("iframe", { sandbox: "allow-scripts allow-downloads", title: `Explorer of ${name}`, hidden: "" });
    const download = (kind, text) => element("button", { type: "button", "data-kind": kind }, text);
    this.downloads = element(
      "span",
      { class: "downloads", hidden: "" },
      download("csv", "Table (CSV)"),
      download("json", "Table (JSON)"),
      labelled("without global context", this.local),
      download("html", "Page (HTML)"),
    );
    const about = (kind, text) => element("button", { type: "button", "data-about": kind, "aria-expanded": "false" }, text);
    this.more = element("span", { class: "downloads", hidden: "" }, about("alignment", "Alignment"), about("sizes", "Every input size"));
    this.told = element("pre", { class: "told", hidden: "" });
    this.signed = labelled("Signature", this.signature);
    this.signed.hidden = true;
    this.closing = element("button", { type: "button", "aria-label": `Close ${name}` }, "Close");
    this.form.append(
      element("h2", {}, name),
      labelled("Input size", this.sizes),
      labelled("Input", this.input),
      labelled("Output", this.output),
      this.signed,
      element("button", { type: "submit" }, "Analyse"),
      this.more,
      this.downloads,
      this.closing,
      this.outputs,
    );
    this.element = element("article", { class: "view" }, this.form, this.error, this.told, this.note, this.frame);
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.analyse();
    });
    this.downloads.addEventListener("click", ({ target }) => this.download(target.dataset.kind));
    this.more.addEventListener("click", ({ target }) => this.tellAbout(target));
    this.closing.addEventListener("click", () => app.close(this));
    this.input.append(element("option", { value: "" }, "the only one"));
  }

  /** Returns what the controls ask.
   *
   * Throws an error with a sentence for the user if the size is no size. */
  question() {
    const text = this.sizes.value.trim();
    const sizes = text ? text.split(/\s*[x×]\s*/i).map(Number) : null;
    const wrong = sizes?.some((size) => !(Number.isSafeInteger(size) && size > 0)) ?? false;
    this.sizes.setAttribute("aria-invalid", String(wrong));
    if (wrong) throw new Error(`“${text}” is not a size. Write HEIGHTxWIDTH, such as 224x320, or one number for a square.`);
    const value = (control) => control.value.trim() || null;
    return {
      input: value(this.input),
      output: value(this.output),
      signature: value(this.signature),
      sizes: sizes?.length === 1 ? sizes[0] : sizes,
      local: this.local.checked,
    };
  }

  async analyse() {
    await this.attempt(async () => {
      const question = this.question();
      this.show(await this.app.ask(this.file, question), question, await BRIDGE);
      this.app.answered();
    });
  }

  show(answer, question, bridge) {
    this.answer = answer;
    this.asked = question;
    this.frame.srcdoc = `${answer.html}<script>${bridge}</script>`;
    this.frame.hidden = this.downloads.hidden = this.more.hidden = false;
    this.hideTold();
    const unweighed = answer.has_numpy ? "" : "How much each position matters is not shown here, because it needs NumPy.";
    const assumed = answer.note ? "The size of the input is assumed: write another one into Input size. " : "";
    this.note.textContent = assumed + unweighed;
    this.input.replaceChildren(...answer.inputs.map((name) => element("option", {}, name)));
    this.input.value = answer.input;
    this.outputs.replaceChildren(...answer.outputs.map((name) => element("option", { value: name })));
    this.sizes.placeholder = answer.sizes.join("x");
  }

  /** Returns the question that the explorer answers now. */
  shown() {
    const { input, sizes } = this.answer;
    return { ...this.asked, input, sizes, local: this.local.checked };
  }

  /** Shows sentences of the library, or hides them if they are shown. */
  async tellAbout(button) {
    const { about } = button.dataset;
    const open = button.getAttribute("aria-expanded") === "true";
    this.hideTold();
    if (!about || open) return;
    await this.attempt(async () => {
      const { text } = await this.app.ask(this.file, { ...this.shown(), about });
      this.told.textContent = text;
      this.told.hidden = false;
      button.setAttribute("aria-expanded", "true");
    });
  }

  hideTold() {
    this.told.hidden = true;
    for (const button of this.more.children) button.setAttribute("aria-expanded", "false");
  }

  async download(kind) {
    if (!kind) return;
    await this.attempt(async () => {
      const { answer } = this;
      if (kind === "html") return save(answer.html, `${answer.title}.html`, "text/html");
      const { text } = await this.app.ask(this.file, { ...this.shown(), table: kind });
      save(text, `${answer.title}.${kind}`, kind === "csv" ? "text/csv" : "application/json");
    });
  }

  /** Shows the message of an error as text. */
  async attempt(action) {
    this.error.hidden = true;
    try {
      await action();
    } catch (error) {
      this.error.textContent = error.message;
      this.signed.hidden &&= !/several (signatures|programs)/.test(error.message);
      this.error.hidden = false;
    }
  }
}

function labelled(text, control) {
  const after = control.type === "checkbox";
  return element("label", {}, ...(after ? [control, text] : [text, control]));
}

function save(text, name, type) {
  const url = URL.createObjectURL(new Blob([text], { type }));
  element("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
