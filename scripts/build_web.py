"""Builds the web page that analyses models in the browser: a folder of static files.

  python scripts/build_web.py -o site [--numpy WHEEL] [--cache FOLDER]

Needs Node.js with npm, and pip. Downloads the versions that ``web/lock.json`` names
from npm and PyPI, once, and checks their hashes. The folder can be served by any web
server; its pages load nothing from elsewhere. See ``docs/web.md``.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import lzma
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
WEB = ROOT / "web"
PAGE = ROOT / "receptive_field" / "report" / "page"
CACHE = ROOT / "build" / "web"
LOCK = json.loads((WEB / "lock.json").read_text("utf-8"))

PAGES = (
    *("site.css", "app.js", "controls.js", "differences.js", "elements.js"),
    *("analyst.js", "worker.js", "frame.js"),
)
"""The files of the page that are copied as they are."""

PYODIDE = ("pyodide.mjs", "pyodide.asm.mjs", "pyodide.asm.wasm", "pyodide-lock.json")
"""The files of Pyodide that the page loads, apart from the standard library."""

DATA = ROOT / "tests" / "data"

EXAMPLES = {
    "TensorFlow": (
        ROOT / "receptive_field" / "data" / "inception_resnet_v2.pbtxt.gz",
        *sorted((DATA / "zoo").glob("*.pb.xz")),
    ),
    "ONNX": tuple(
        DATA / "onnx" / f"{name}.onnx.xz"
        for name in (
            *("resnet18", "resnet50", "unet", "vgg16", "inception_v3", "densenet121"),
            *("efficientnet_b0", "mobilenet_v3_large", "convnext_tiny", "yolo"),
        )
    ),
    "TensorFlow Lite": (
        DATA / "tflite" / "mobilenet_v2.tflite.xz",
        DATA / "tflite" / "u_net.tflite.xz",
    ),
    "PyTorch": (DATA / "torch" / "resnet18.pt2", DATA / "torch" / "unet.pt2"),
}
"""Framework -> files that the page offers. None of them has weights."""

KERAS_EXAMPLES = (
    *("ResNet50", "ResNet50V2", "VGG16", "Xception", "DenseNet121", "MobileNetV2"),
    *("EfficientNetB0", "ConvNeXtTiny"),
)
"""Applications of Keras that the page offers, too."""


class BuildError(Exception):
    """Says why the site cannot be built, and what to do."""


def build(target: Path, cache: Path = CACHE, numpy: Path | None = None) -> None:
    """Writes the site into a folder, which is replaced."""
    pyodide, wheels = fetch_pyodide(cache), fetch_wheels(cache)
    if numpy is not None:
        check_numpy(numpy, pyodide)
    with ThreadPoolExecutor() as pool, tempfile.TemporaryDirectory() as folder:
        library = pool.submit(packed_library, pyodide, cache)  # Takes long, once.
        made = Path(folder)
        wheels = [own_wheel(made), *wheels, *([] if numpy is None else [numpy])]
        site = made / "site"
        (site / "pyodide").mkdir(parents=True)
        for name in PYODIDE:
            shutil.copy(pyodide / name, site / "pyodide")
        pack(pyodide, site / "packages.zip", *wheels)
        shutil.copy(library.result(), site / "pyodide")
        write_examples(site / "examples")
        for name in PAGES:
            shutil.copy(WEB / name, site)
        write_page(site)
        write_service_worker(site)
        if target.exists():
            check_replaceable(target)
            shutil.rmtree(target)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(site, target)


def check_replaceable(target: Path) -> None:
    """Raises an error if a folder holds something other than a site."""
    if not target.is_dir() or (
        any(target.iterdir()) and not (target / "pyodide").is_dir()
    ):
        raise BuildError(f"{target} exists and is no site. Give another folder.")


def check_numpy(wheel: Path, pyodide: Path) -> None:
    """Raises an error if a file is no wheel of NumPy that this Pyodide can import."""
    known = json.loads((pyodide / "pyodide-lock.json").read_text("utf-8"))
    locked = known["packages"]["numpy"]
    *_, python, abi, platform = locked["file_name"].removesuffix(".whl").split("-")
    name, _, tags = wheel.name.partition("-")
    wanted = f"-{python}-{abi}-{platform}.whl"
    if name != "numpy" or not tags.endswith(wanted):
        raise BuildError(
            f"{wheel} is no wheel of NumPy for Pyodide {LOCK['pyodide']['version']}, "
            f"whose name begins with numpy- and ends with {wanted}. Give "
            f"{locked['file_name']}, which the full release of Pyodide contains."
        )
    if not wheel.is_file():
        raise BuildError(f"there is no file {wheel}.")
    if not zipfile.is_zipfile(wheel):
        raise BuildError(f"{wheel} is no wheel, or is damaged. Download it again.")
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    if wheel.name == locked["file_name"] and digest != locked["sha256"]:
        raise BuildError(
            f"the hash of {wheel} is not the one that Pyodide states. Do not use it."
        )


# --- What is downloaded --------------------------------------------------------------


def fetch_pyodide(cache: Path) -> Path:
    """Returns the folder of the unpacked npm package of Pyodide."""
    version, integrity = LOCK["pyodide"]["version"], LOCK["pyodide"]["integrity"]
    folder = cache / f"pyodide-{version}"
    if folder.is_dir():
        return folder
    with tempfile.TemporaryDirectory(dir=made_folder(cache)) as temporary:
        run("npm", "pack", "--silent", f"pyodide@{version}", cwd=Path(temporary))
        (packed,) = Path(temporary).glob("*.tgz")
        digest = base64.b64encode(hashlib.sha512(packed.read_bytes()).digest())
        if f"sha512-{digest.decode()}" != integrity:
            raise BuildError(
                f"npm sent a pyodide@{version} whose hash is not the one in "
                "web/lock.json. Do not use it."
            )
        with tarfile.open(packed) as archive:
            archive.extractall(temporary, filter="data")
        Path(temporary, "package").rename(folder)
    return folder


def fetch_wheels(cache: Path) -> list[Path]:
    """Returns the wheels of the packages in the lock file."""
    found = []
    for name, locked in LOCK["wheels"].items():
        version, digest = locked["version"], locked["sha256"]
        folder = cache / f"{name}-{version}"
        if not folder.is_dir():
            with tempfile.TemporaryDirectory(dir=made_folder(cache)) as temporary:
                wanted = Path(temporary, "requirements.txt")
                wanted.write_text(f"{name}=={version} --hash=sha256:{digest}\n")
                options = ("--no-deps", "--require-hashes", "--only-binary=:all:")
                pure = ("--platform", "any", "--implementation", "py", "--abi", "none")
                into = ("-d", temporary + "/wheels", "-r", wanted)
                pip("download", *options, *pure, *into)
                Path(temporary, "wheels").rename(folder)
        found += folder.glob("*.whl")
    return found


def own_wheel(folder: Path) -> Path:
    """Builds the wheel of this package from a copy, without what old builds left."""
    source = folder / "source"
    source.mkdir()
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    shutil.copytree(
        ROOT / "receptive_field",
        source / "receptive_field",
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    pip("wheel", "--no-deps", "-w", folder, source)
    (wheel,) = folder.glob("receptive_field-*.whl")
    return wheel


def packed_library(pyodide: Path, cache: Path) -> Path:
    """Returns Pyodide's standard library as bytecode, which is compiled only once."""
    target = cache / f"compiled-{LOCK['pyodide']['version']}" / "python_stdlib.zip"
    if not target.exists():
        with tempfile.TemporaryDirectory(dir=made_folder(cache)) as temporary:
            made = Path(temporary) / target.name
            pack(pyodide, made, pyodide / "python_stdlib.zip")
            made_folder(target.parent)
            made.rename(target)
    return target


# --- What is written -----------------------------------------------------------------


def write_examples(folder: Path) -> None:
    """Writes the examples, which have no weights."""
    folder.mkdir()
    for paths in EXAMPLES.values():
        for path in paths:
            shutil.copy(path, folder)
    (configs,) = (DATA / "keras").glob("keras_*.json.xz")
    for line in lzma.decompress(configs.read_bytes()).decode().splitlines():
        name, _, kept = line.partition(" ")
        if name in KERAS_EXAMPLES:
            config, *_ = json.loads(kept)["without"]
            with zipfile.ZipFile(folder / f"{name}.keras", "w") as archive:
                entry = zipfile.ZipInfo("config.json", (1980, 1, 1, 0, 0, 0))
                archive.writestr(entry, json.dumps(config), zipfile.ZIP_DEFLATED)


def write_page(site: Path) -> None:
    """Writes index.html, which lets only these scripts run (see `script_hashes`)."""
    groups = {kind: [path.name for path in paths] for kind, paths in EXAMPLES.items()}
    groups["Keras"] = [f"{name}.keras" for name in KERAS_EXAMPLES]
    options = ""
    for kind, names in groups.items():
        inside = (
            f'<option value="examples/{name}">{name.partition(".")[0]}</option>'
            for name in names
        )
        options += f'<optgroup label="{kind}">{"".join(inside)}</optgroup>\n'
    text = (WEB / "index.html").read_text("utf-8")
    parts = {"EXPLORER": " ".join(script_hashes()), "EXAMPLES": options}
    for name, part in parts.items():
        text = text.replace(f"%%{name}%%", part)
    (site / "index.html").write_text(text, "utf-8")


def script_hashes() -> Iterable[str]:
    """Yields the hashes of the scripts that run in the frame of an explorer.

    These are the explorer's, as its page has them, and `frame.js`. The frame inherits
    the policy of the site. Nothing that a model's file holds has one of these hashes.
    """
    for path in sorted(PAGE.glob("*.js")):
        script = f"\n{path.read_text('utf-8')}".encode()
        yield _policy_hash(script)
    yield _policy_hash((WEB / "frame.js").read_bytes())


def _policy_hash(script: bytes) -> str:
    digest = base64.b64encode(hashlib.sha256(script).digest()).decode()
    return f"'sha256-{digest}'"


def write_service_worker(site: Path) -> None:
    """Writes sw.js, with the names of all files and a version made of contents."""
    paths = sorted(path for path in site.rglob("*") if path.is_file())
    names = [path.relative_to(site).as_posix() for path in paths]
    version = hashlib.sha256()
    for name, path in zip(names, paths, strict=True):
        version.update(
            f"{name}\0".encode() + hashlib.sha256(path.read_bytes()).digest()
        )
    text = (WEB / "sw.js").read_text("utf-8")
    text = text.replace('"%%VERSION%%"', json.dumps(version.hexdigest()[:16]))
    (site / "sw.js").write_text(text.replace('"%%FILES%%"', json.dumps(names)), "utf-8")


# --- Commands ------------------------------------------------------------------------


def made_folder(folder: Path) -> Path:
    """Makes a folder if there is none, and returns it."""
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def pack(pyodide: Path, target: Path, *archives: Path) -> None:
    """Runs `pack_packages.mjs`."""
    run("node", ROOT / "scripts" / "pack_packages.mjs", pyodide, target, *archives)


def pip(*arguments: object) -> None:
    """Runs a command of pip."""
    quiet = ("-q", "--disable-pip-version-check")
    run(sys.executable, "-m", "pip", arguments[0], *quiet, *arguments[1:])


def run(program: object, *arguments: object, cwd: Path | None = None) -> None:
    """Runs a program.

    Raises:
      BuildError: if there is no such program, or if it fails.
    """
    found = shutil.which(str(program))
    if found is None:
        raise BuildError(
            f"{program} is not installed: apt-get install nodejs npm (on Debian), or "
            "see https://nodejs.org."
        )
    command = [found, *map(str, arguments)]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode:
        told = (done.stderr or done.stdout)[-2000:]
        raise BuildError(f"{' '.join(command)} failed:\n{told}")


def main() -> int:
    """Builds the site that the command line asks for, and returns the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    text = "the folder to write; a site that is there is replaced"
    parser.add_argument("-o", dest="target", type=Path, required=True, help=text)
    text = "a wheel of NumPy for this Pyodide, for the models that need NumPy"
    parser.add_argument("--numpy", type=Path, metavar="WHEEL", help=text)
    text = "where downloads are kept (default: build/web)"
    parser.add_argument("--cache", type=Path, default=CACHE, help=text)
    options = parser.parse_args()
    try:
        build(options.target, options.cache, options.numpy)
    except BuildError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    sizes = [path.stat().st_size for path in options.target.rglob("*.*")]
    print(f"{options.target}: {len(sizes)} files, {sum(sizes) / 1e6:.1f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
