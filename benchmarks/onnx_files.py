"""The time and memory that results for ONNX files take, with weights of any size.

    python benchmarks/onnx_files.py [megabytes ...]

The network is the ResNet-50 of the tests. Its weights are filled with zeros, and a
constant that no node reads makes the file as large as wanted (protobuf ends at 2 GiB).
Each file is analysed in a process of its own; the times are the least of five, beside
that of importing NumPy and protobuf.
"""

from __future__ import annotations

import lzma
import math
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import onnx

NETWORK = Path(__file__).parent.parent / "tests" / "data" / "onnx" / "resnet50.onnx.xz"

ASK = """
import receptive_field as rf, sys
print(rf.compute_receptive_field(sys.argv[1]))
status = open("/proc/self/status").read()
print(status.partition("VmHWM:")[2].split()[0], file=sys.stderr)
"""
IMPORT = """
import numpy, sys
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
status = open("/proc/self/status").read()
print(status.partition("VmHWM:")[2].split()[0], file=sys.stderr)
"""


def used_by(code: str, *arguments: str) -> tuple[float, int]:
    """Returns the CPU seconds and the peak memory in megabytes of a process."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        check=True,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return seconds, int(done.stderr) // 1024


def write(path: Path, megabytes: int) -> None:
    """Writes the network with weights, as a file of at least this size."""
    model = onnx.ModelProto.FromString(lzma.decompress(NETWORK.read_bytes()))
    for tensor in model.graph.initializer:
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            del tensor.external_data[:]
            tensor.ClearField("data_location")
            tensor.raw_data = bytes(4 * math.prod(tensor.dims))
    more = megabytes * 1_000_000 - model.ByteSize()
    if more > 0:
        model.graph.initializer.add(
            name="more", data_type=1, dims=[more // 4], raw_data=bytes(more // 4 * 4)
        )
    path.write_bytes(model.SerializeToString())


def main(sizes: list[int]) -> None:
    """Prints a line for the imports, and one for each size."""
    imports, memory = min(used_by(IMPORT) for _ in range(5))
    print(f"importing NumPy and protobuf: {imports:.2f} s, {memory} MB")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        for megabytes in sizes:
            write(path, megabytes)
            seconds, memory = min(used_by(ASK, str(path)) for _ in range(5))
            size = path.stat().st_size / 1_000_000
            times = f"{seconds:.2f} s ({seconds / imports:.1f} times)"
            print(f"a file of {size:.0f} MB: {times}, {memory} MB")


if __name__ == "__main__":
    main([int(text) for text in sys.argv[1:]] or [0, 1900])
