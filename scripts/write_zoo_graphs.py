"""Writes graphs of networks in the zoo to ``tests/data/zoo/``, compressed.

  python scripts/write_zoo_graphs.py [--folder FOLDER]

They are examples of the web page, which has no TensorFlow to build them. They have no
weights, and leave the size of the input open.
"""

from __future__ import annotations

import argparse
import lzma
from pathlib import Path

from receptive_field import zoo

FOLDER = Path(__file__).resolve().parent.parent / "tests" / "data" / "zoo"

NETWORKS = (
    *("alexnet_v2", "vgg_16", "inception_v2", "inception_v3", "inception_v4"),
    *("resnet_v1_50", "resnet_v1_101", "resnet_v2_50", "mobilenet_v1"),
)


def main() -> None:
    """Writes the graphs."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--folder", type=Path, default=FOLDER)
    folder = parser.parse_args().folder
    for name in NETWORKS:
        graph = zoo.build(name).graph.as_graph_def()
        content = graph.SerializeToString(deterministic=True)
        (folder / f"{name}.pb.xz").write_bytes(lzma.compress(content, preset=9))


if __name__ == "__main__":
    main()
