/* Packs what Pyodide imports as bytecode, which its own Python compiles.
 *
 *   node scripts/pack_packages.mjs PYODIDE_FOLDER PACKED_ZIP ARCHIVE...
 *
 * The archives are wheels, or a standard library. To compile their modules in the browser
 * takes longer than to run them. Bytecode without sources is not compared with anything. */

import { readFileSync, writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";

const PACK = `
import compileall
import zipfile
from pathlib import Path
from py_compile import PycInvalidationMode


def pack(folder, target):
    done = compileall.compile_dir(
        folder,
        quiet=1,
        stripdir=folder,
        legacy=True,
        invalidation_mode=PycInvalidationMode.UNCHECKED_HASH,
    )
    assert done, "a module does not compile"
    with zipfile.ZipFile(target, "w") as packed:
        for path in sorted(Path(folder).rglob("*")):
            if path.is_file() and path.suffix != ".py":
                name = path.relative_to(folder).as_posix()
                entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
                packed.writestr(entry, path.read_bytes(), zipfile.ZIP_DEFLATED, 9)


pack("/unpacked", "/packed.zip")
`;

const [folder, target, ...archives] = process.argv.slice(2).map((path) => resolve(path));
const { loadPyodide } = await import(pathToFileURL(`${folder}/pyodide.mjs`));
const pyodide = await loadPyodide({ indexURL: folder });
for (const path of archives) {
  pyodide.unpackArchive(new Uint8Array(readFileSync(path)), "zip", { extractDir: "/unpacked" });
}
pyodide.runPython(PACK);
writeFileSync(target, pyodide.FS.readFile("/packed.zip"));
