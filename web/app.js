/* The page: opens files, and shows how far their analysis is. */

import { Analyst, Cancelled } from "./analyst.js";
import { View } from "./controls.js";

const MOST_VIEWS = 2;
const byId = (id) => document.getElementById(id);

class App {
  constructor() {
    this.views = [];
    this.analyst = new Analyst();
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
      const ask = (...asked) => this.ask(...asked);
      const view = new View(file.name, file, ask, (each) => this.close(each));
      this.views.push(view);
      byId("views").append(view.element);
      view.analyse();
    }
    this.arrange();
  }

  close(view) {
    this.views = this.views.filter((each) => each !== view);
    view.element.remove();
    this.arrange();
  }

  arrange() {
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

  async drop({ items, files }) {
    const entries = [...items].map((item) => item.webkitGetAsEntry?.());
    if (entries.some((entry) => entry?.isDirectory)) {
      this.say("You dropped a folder. Drop the file in it that holds the graph: saved_model.pb of a SavedModel.");
    } else if (files.length) {
      this.open(files);
    } else {
      this.say("You dropped something that is not a file. Drop the file of a model.");
    }
  }

  // --- Asking -----------------------------------------------------------------------

  /** Returns the answer to a question, and shows how far it is.
   *
   * Throws an error with a sentence for the user if there is no answer. */
  async ask(file, question) {
    byId("progress").hidden = false;
    const tell = (what, share) => this.tell(`${file.name}: ${what}`, share);
    try {
      const answer = await this.analyst.ask(file, question, tell);
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
      this.drop(event.dataTransfer);
    });
  }

  choose(beside) {
    this.beside = beside;
    byId("file").click();
  }

  /** Keeps the site in the browser. If that fails, the page works, but not offline. */
  async keepOffline() {
    const served = new URLSearchParams(location.search).has("served"); // On this machine.
    if (served || !navigator.serviceWorker) return;
    const failed = () =>
      this.say("This page works, but not without a network: the browser does not keep its files, perhaps because its storage is full. Nothing has to be done.");
    try {
      const registration = await navigator.serviceWorker.register("sw.js");
      const { installing } = registration;
      installing?.addEventListener("statechange", () => {
        if (installing.state === "redundant" && !registration.active) failed();
      });
    } catch {
      failed();
    }
  }
}

if (globalThis.WebAssembly && globalThis.Worker) {
  new App();
} else {
  byId("message").textContent = "This browser cannot run the analysis: it has no WebAssembly or no workers. Use a recent Firefox, Chrome, Edge or Safari, or the Python package: pip install receptive_field.";
}
