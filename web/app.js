/* The page: opens files, and shows how far their analysis is. */

import { Analyst, Cancelled } from "./analyst.js";
import { View } from "./controls.js";
import { Differences } from "./differences.js";

const MOST_VIEWS = 2;
const byId = (id) => document.getElementById(id);

class App {
  constructor() {
    this.views = [];
    this.analyst = new Analyst();
    this.differences = new Differences(byId("differences"), (...asked) => this.ask(...asked));
    this.say("");
    this.analyst.ready.then(() => this.keepOffline(), (error) => this.say(error.message));
    this.listen();
    this.openAddress();
  }

  // --- Opening ----------------------------------------------------------------------

  /** Opens files: beside those that are open if `beside`, otherwise in their place. */
  open(files, beside = false) {
    const room = MOST_VIEWS - (beside ? this.views.length : 0);
    const chosen = [...files].slice(0, room);
    if (!chosen.length) return;
    this.say(files.length > room ? `${room === 1 ? "One file was" : "Two files were"} opened; the page shows at most two, side by side.` : "");
    if (!beside) [...this.views].forEach((view) => this.close(view));
    for (const file of chosen) {
      const view = new View(file.name, file, this);
      this.views.push(view);
      byId("views").append(view.element);
      view.analyse();
    }
    this.arrange();
  }

  close(view) {
    this.views = this.views.filter((each) => each !== view);
    view.element.remove();
    this.analyst.forget(view.file);
    this.arrange();
  }

  /** Compares two files when both are answered. */
  answered() {
    const [a, b] = this.views;
    if (b && a.answer && b.answer) this.differences.show(a, b);
  }

  arrange() {
    this.differences.hide();
    byId("drop").hidden = this.views.length > 0;
    byId("add").hidden = this.views.length !== 1;
  }

  /** Opens a file of this site: an example, or the model of `receptive-field serve`. */
  async openFrom(address, beside) {
    const url = new URL(address, document.baseURI);
    const site = new URL(".", document.baseURI).href;
    try {
      if (!url.href.startsWith(site)) throw new Error("it is not a file of this site.");
      const response = await fetch(url);
      if (!response.ok) throw new Error(`the server answers ${response.status}.`);
      const name = decodeURIComponent(url.pathname.split("/").at(-1));
      this.open([new File([await response.blob()], name)], beside);
    } catch (error) {
      this.say(`“${address}” cannot be opened: ${error.message}`);
    }
  }

  openAddress() {
    const address = new URLSearchParams(location.search).get("model");
    if (address) this.openFrom(address);
  }

  drop({ isFolder, files }) {
    if (isFolder) {
      this.say("You dropped a folder. Drop the file in it that holds the graph: saved_model.pb of a SavedModel.");
    } else if (files.length) {
      this.open(files);
    } else {
      this.say("You dropped something that is not a file. Drop the file of a model.");
    }
  }

  // --- Asking -----------------------------------------------------------------------

  /** Returns the answer to a question about a file, and perhaps another one, and shows
   * how far it is.
   *
   * Throws an error with a sentence for the user if there is no answer. */
  async ask(file, question, other) {
    byId("progress").hidden = false;
    const tell = (what, share) => this.tell(`${file.name}: ${what}`, share);
    try {
      const answer = await this.analyst.ask(file, question, other, tell);
      if (answer.error) throw new Error(answer.error);
      return answer;
    } catch (error) {
      if (error instanceof Cancelled) throw new Error("Cancelled. To ask again, press Analyse.");
      throw error;
    } finally {
      byId("progress").hidden = this.analyst.waiting.length > 0 ? false : true;
    }
  }

  tell(what, share) {
    byId("doing").textContent = `${what} …`;
    if (share === null) byId("share").removeAttribute("value");
    else byId("share").value = share;
  }

  say(message) {
    byId("message").textContent = message;
    byId("message").hidden = !message;
  }

  // --- Events -----------------------------------------------------------------------

  listen() {
    byId("choose").addEventListener("click", () => this.choose(false));
    byId("add").addEventListener("click", () => this.choose(true));
    byId("file").addEventListener("change", ({ target }) => {
      this.open(target.files, this.beside);
      target.value = "";
    });
    byId("examples").addEventListener("change", ({ target }) => {
      if (target.value) this.openFrom(target.value);
      target.value = "";
    });
    byId("cancel").addEventListener("click", () => this.analyst.cancel());
    const dragging = (on) => document.body.classList.toggle("dragging", on);
    document.addEventListener("dragover", (event) => {
      event.preventDefault();
      dragging(true);
    });
    document.addEventListener("dragleave", (event) => event.relatedTarget ?? dragging(false));
    document.addEventListener("drop", (event) => {
      event.preventDefault();
      dragging(false);
      const { items, files } = event.dataTransfer;
      const isFolder = [...items].some((item) => item.webkitGetAsEntry?.()?.isDirectory);
      this.drop({ isFolder, files });
    });
    // Frames take the first events of a drag, until they do not take part.
    addEventListener("message", ({ source, data }) => {
      if (!this.views.some((view) => view.frame.contentWindow === source)) return;
      dragging(!data.dropped);
      if (data.dropped) this.drop(data.dropped);
    });
    document.addEventListener("pointermove", () => dragging(false)); // Not during a drag.
  }

  choose(beside) {
    this.beside = beside;
    byId("file").click();
  }

  /** Keeps the site in the browser. If that fails, the page works, but not offline. */
  async keepOffline() {
    const served = new URLSearchParams(location.search).has("served"); // On this machine.
    if (served || !navigator.serviceWorker) return;
    const failed = (why) =>
      this.say(`This page works, but not without a network, because the browser does not keep its files: ${why} To use the page now, nothing has to be done.`);
    navigator.serviceWorker.onmessage = ({ data }) => failed(data.failed);
    try {
      await navigator.serviceWorker.register("sw.js");
    } catch (error) {
      failed(error.message);
    }
  }
}

if (globalThis.WebAssembly && globalThis.Worker) {
  new App();
} else {
  byId("message").textContent = "This browser cannot run the analysis: it has no WebAssembly or no workers. Use a recent Firefox, Chrome, Edge or Safari, or the Python package: pip install receptive_field.";
}
