"""Scripts as modules of this process, where TensorFlow is imported only once."""

from __future__ import annotations

import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "python" / "util" / "examples"
OURS = ROOT / "scripts"
DOCS = ROOT / "docs"


def script(path: Path) -> Any:
    """The script as a module; loaded once, as it defines its flags only once."""
    if path.stem not in sys.modules:
        spec = spec_from_file_location(path.stem, path)
        sys.modules[path.stem] = module = module_from_spec(spec)
        spec.loader.exec_module(module)
    return sys.modules[path.stem]


def example(name: str, *flags: object) -> int:
    """Runs one of the example scripts; its exit status."""
    module = script(EXAMPLES / name)
    for flag in module.FLAGS.get_flags_for_module(module):  # As at the start.
        flag.unparse()
    return module.main(module.FLAGS([name, *map(str, flags)]))
