/* Runs `tests/test_without_numpy.py` in Pyodide, where there is no NumPy, under Node.
 *
 *   python scripts/build_web.py -o site
 *   node scripts/test_in_pyodide.mjs site SITE_PACKAGES [ARGUMENT OF PYTEST...]
 *
 * SITE_PACKAGES is the folder in which pytest is installed. Hypothesis is no longer written
 * in Python alone, so that tests with it cannot run there. */

import { existsSync, readFileSync } from "node:fs";
import { resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const PURE = ["pytest", "_pytest", "pluggy", "iniconfig", "packaging", "pygments"];

const [site, packages, ...given] = process.argv.slice(2);
const { loadPyodide } = await import(pathToFileURL(resolve(site, "pyodide/pyodide.mjs")));
const pyodide = await loadPyodide({ indexURL: resolve(site, "pyodide") });
const { FS } = pyodide;
const mount = (root, target) => {
  FS.mkdirTree(target);
  FS.mount(FS.filesystems.NODEFS, { root }, target);
};
const folder = pyodide.runPython("import site; site.getsitepackages()[0]");
pyodide.unpackArchive(new Uint8Array(readFileSync(resolve(site, "packages.zip"))), "zip", { extractDir: folder });
for (const name of PURE) {
  if (existsSync(resolve(packages, name))) mount(resolve(packages, name), `/pure/${name}`);
}
["tests", "docs", "scripts"].forEach((name) => mount(resolve(ROOT, name), `/repository/${name}`));
FS.writeFile("/pure/py.py", readFileSync(resolve(packages, "py.py")));
FS.chdir("/repository");

const RUN = `
import sys

sys.path[:0] = ["/pure", "/repository/tests"]
import pytest

from receptive_field.arrays import is_installed

assert not is_installed()
options = ["-q", "-p", "no:cacheprovider", "--noconftest"]
int(pytest.main([*options, "tests/test_without_numpy.py", *arguments]))
`;
pyodide.globals.set("arguments", pyodide.toPy(given));
process.exit(pyodide.runPython(RUN));
