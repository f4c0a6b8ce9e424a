/* Runs the library. Files are mounted, so that only the parts are read that it asks for. */

import { loadPyodide } from "./pyodide/pyodide.mjs";

const HERE = new URL(".", import.meta.url).href;
const MOST_CHARACTERS = 120;
const EVERY = 60; // Milliseconds between two messages about progress.

const opened = new Map();
const prepared = prepare();

async function prepare() {
  const whole = wholeFiles();
  const loading = Promise.all([
    loadPyodide({ indexURL: `${HERE}pyodide/` }),
    fetch(`${HERE}packages.zip`).then((response) => response.arrayBuffer()),
  ]);
  const [pyodide, packages] = await Promise.race([loading, whole]);
  const folder = pyodide.runPython("import site; site.getsitepackages()[0]");
  pyodide.unpackArchive(packages, "zip", { extractDir: folder });
  pyodide.runPython("from receptive_field.report.site import OpenFile");
  return pyodide;
}

/** Rejects if a file that is fetched does not arrive: Pyodide would wait without end. */
function wholeFiles() {
  const ask = fetch;
  return new Promise((_, reject) => {
    self.fetch = async (address, ...options) => {
      const name = String(address).split("/").at(-1);
      const missing = (why) => reject(new Error(`${name} cannot be loaded (${why}).`));
      const response = await ask(address, ...options).catch((error) => {
        missing(error.message);
        throw error;
      });
      if (!response.ok) missing(response.status);
      response.clone().arrayBuffer().catch(({ message }) => missing(message));
      return response;
    };
  });
}

/** Returns the library's view of a file, which is mounted in a folder of its own. */
function openFile(pyodide, file) {
  const { FS } = pyodide;
  if (!opened.has(file.number)) {
    const folder = `/files/${file.number}`;
    const safe = file.name.replace(/[/\\\p{Cc}]/gu, "_").slice(-MOST_CHARACTERS);
    const name = /^\.*$/.test(safe) ? "model" : safe;
    FS.mkdirTree(folder);
    FS.mount(FS.filesystems.WORKERFS, { blobs: [{ name, data: file.content }] }, folder);
    opened.set(file.number, pyodide.globals.get("OpenFile")(`${folder}/${name}`));
  }
  return opened.get(file.number);
}

/** Forgets a file, with all that is known about it. */
function closeFile({ FS }, number) {
  if (!opened.has(number)) return;
  opened.get(number).destroy();
  opened.delete(number);
  FS.unmount(`/files/${number}`);
}

function teller() {
  let last = 0;
  return (what, share) => {
    if (performance.now() - last < EVERY) return;
    last = performance.now();
    postMessage({ what, share: share ?? null });
  };
}

onmessage = async ({ data: { file, question, other, closed } }) => {
  try {
    const pyodide = await prepared;
    if (closed !== undefined) return closeFile(pyodide, closed);
    const asked = openFile(pyodide, file);
    const beside = other && openFile(pyodide, other);
    postMessage({ answer: asked.answer(question, teller(), beside) });
  } catch (error) {
    postMessage({ broken: said(error) });
  }
};

/** Returns the last line of a message of Python's, and what to do. */
function said(error) {
  const lines = String(error.message ?? error).trim().split("\n");
  const why = lines.at(-1).slice(0, 500);
  return `The analysis broke off: ${why} Python was started anew. Please report this with the model or the way to make it.`;
}

prepared.then(
  () => postMessage({ ready: true }),
  (error) => postMessage({ failed: String(error.message ?? error).slice(0, 500) }),
);
