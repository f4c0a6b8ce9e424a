"""The tables in ``docs/``: what was measured, and what cannot be.

``pytest --write-tables`` on `test_ops.py`, `test_layers.py`, `test_keras_ops.py`,
`test_tflite_ops.py`, `test_onnx_ops.py`, `test_torch_ops.py` and `test_onnx_backend.py`
writes them, each as a whole or not at all; in every other run these files compare them
with what they find.
"""

from __future__ import annotations

import re
from pathlib import Path

from receptive_field.whole_files import write_whole

DOCS = Path(__file__).parent.parent / "docs"

measured_ops: set[str] = set()
measured_tflite_ops: set[str] = set()
measured_onnx_ops: set[str] = set()
measured_torch_ops: set[str] = set()
measured_torch_classes: set[str] = set()
measured_layers: dict[str, str] = {}
"""Class of a layer -> what was found."""

measured_operations: dict[str, str] = {}
"""Function of `keras.ops` -> what was found."""

onnx_backend: list[str] | None = None
"""The lines of the table of the onnx package's test models, if they were analysed."""

EXACT = "exact: equal to measurement"

LAYERS = """# Layers

For every class of `keras.layers`, the tests build models with random parameters, and
compare their receptive fields with what `measure_receptive_field` finds. They also
write this table (`pytest --write-tables tests/test_layers.py`), and every run compares
it with its own results.

An upper bound is never smaller than the measurement, and the result is marked
(`exact=False`).

The last column says whether a model with this layer can be read from a file, without
Keras. Otherwise, pass the model itself.

| class | result | from a file |
|---|---|---|
"""

OPERATIONS = """# Functions of keras.ops

A Keras model may call functions of `keras.ops` by themselves. For these functions, the
tests build models with random parameters, run them with changed inputs, and compare
their receptive fields with what changes. They also write this table
(`pytest --write-tables tests/test_keras_ops.py`), and every run compares it with its
own results.

An upper bound is never smaller than the experiment, and the result is marked
(`exact=False`). If a function has no rule, its receptive field is only known for a
model in memory, if TensorFlow can trace it.

| function | result |
|---|---|
"""

ONNX_BACKEND = """# The test models of ONNX

The onnx package contains models that test backends: some in its wheel, and cases of
single ops (with `_expanded`, also as the functions that define them). The tests ask for
the receptive field of every output of each model whose first input that is an image has
three or more axes. They also write this page
(`pytest --write-tables tests/test_onnx_backend.py`), and every run compares it with its
own results.

A model is *asked* about if it has such an input, *independent* if no value of the input
changes its outputs (as for Shape), and *refused* if an error says why one of its
outputs cannot be analysed. Models of operator sets before 7 are converted by onnx.

| folder | models | asked | analysed | independent | refused |
|---|---|---|---|---|---|
"""

ONNX_OPS = """# Ops of ONNX

This table lists every op of the ONNX standard, and every other op that has a rule. The
tests write it (`pytest --write-tables tests/test_onnx_ops.py`), and every run compares
it with its own results. If an op is *measured*, the tests made models of it, also with
random parameters, ran them with onnxruntime, and compared which positions change the
output with what the rule says. [Another page](onnx_backend.md) counts the test models
of the onnx package.

For any other op, state what it does (`overrides`, or `register_op` with
`framework="onnx"`).

onnxruntime and the text of the standard differ, or the text leaves open what happens,
in these points; the rules follow onnxruntime:

* A SAME pool whose stride is longer than its kernel skips positions at the start: the
  padding is negative. A SAME convolution pads with zero in this case.
* The SAME padding of a pool leaves its dilation out of account, so a dilated pool has
  fewer positions than `ceil(size / stride)`.
* If a window does not fit on an axis at all, a pool may still return one position,
  because a negative number is rounded towards zero. The library refuses such sizes.
* Nodes may come in any order.
* If all sizes of a Resize stay as they are, it copies its input, whatever its
  attributes are, and so it does on each axis with a scale of 1, and with `antialias` on
  each axis that keeps its size.
* A scale that is stated places the positions of a Resize, also if the size of the
  output was rounded.
* `round_prefer_floor` and `round_prefer_ceil` take a fraction within 1e-6 of one half
  as a half. `tf_half_pixel_for_nn` still works after operator set 12.
* The nearest positions of Resize 10 round up on axes that shrink, and down on others.
* Attention with `is_causal` and past keys masks nothing if there is a single query, and
  `unidirectional` in MultiHeadAttention masks no key of the last query.
* An inverse DFT of half a spectrum (`onesided=1`) with a shorter `dft_length` reads
  other positions than the first ones; its rule is a bound.
* With a negative step, a Slice that ends at the largest integer goes to the first
  position, and one that starts before the axis starts at its first position.
* Split refuses `num_outputs` if the last part would be negative, and not if it is
  empty.
* Negative pads crop first, and Pad then repeats only what is left.
* LRN refuses an even `size`. Attention 24 refuses a mask that is shorter than the keys.

| op type | how its rule is known to be right |
|---|---|
"""

OPS = """# Ops

This table lists every op type that has a rule. The tests write it
(`pytest --write-tables tests/test_ops.py`), and every run compares it with its own
results. An op is *measured* if it lies between input and output in a network that the
tests ran and compared with its receptive field.

| op type | how its rule is known to be right |
|---|---|
"""

TFLITE_OPS = """# Ops of TensorFlow Lite

This table lists every builtin op of TensorFlow Lite (LiteRT), in the schema of
TensorFlow 2.21. The tests write it (`pytest --write-tables tests/test_tflite_ops.py`),
and every run compares it with its own results. If an op is *measured*, the tests made
models of it with random parameters, ran them with the interpreter, and compared which
positions change the output with what the rule says. Windows, pads and resizes are run
with the reference kernels, the optimised kernels, and those of XNNPACK.

The custom ops `TFLite_Detection_PostProcess`, `Convolution2DTransposeBias` and
`MaxPoolingWithArgmax2D` have rules, too. So has each op of TensorFlow that a model
contains (`FlexErf` is TensorFlow's `Erf`), if it is in the [table of ops](ops.md). For
any other op, state what it does (`overrides`, or `register_op` with
`framework="tflite"`).

| op type | how its rule is known to be right |
|---|---|
"""

TORCH_OPS = """# Ops and classes of PyTorch

The first table lists every op of PyTorch that has a rule, without overloads and without
`aten.`; the second lists every class of `torch.nn`. The tests write them
(`pytest --write-tables tests/test_torch_ops.py`), and every run compares them with its
own results. If an op or a class is *measured*, the tests made modules of it, ran them
in double precision, and compared which positions change the output with what the rule
says, for the exported program and for the module itself.

For any other op, state what it does (`overrides`, or `register_op` with
`framework="torch"`).

| op | how its rule is known to be right |
|---|---|
"""

TORCH_CLASSES = """
## Classes of torch.nn

| class | how its rule is known to be right |
|---|---|
"""


def rows(name: str, number: int = 0) -> dict[str, str]:
    """The rows of a table of a page: first column -> second."""
    text = (DOCS / name).read_text(encoding="utf-8")
    text = re.split(r"^\|(?:---\|)+$", text, flags=re.MULTILINE)[number + 1]
    return dict(re.findall(r"^\| `([\w.]+)`[^|]* \| ([^|]*) \|", text, re.MULTILINE))


def write(passed: bool) -> list[str]:
    """Writes those tables of which this run has measured every row.

    Args:
      passed: whether all tests of the run were run, and passed; else none is written.

    Returns:
      What to say of each of them.
    """
    import layer_catalogue
    import onnx_catalogue
    import op_catalogue
    import operation_catalogue
    import tflite_catalogue
    import torch_catalogue

    layers = {}
    for name, also in layer_catalogue.classes().items():
        others = [other for other in also if other != name]
        known = f" ({', '.join(f'`{other}`' for other in others)})" if others else ""
        reason = layer_catalogue.REASONS.get(name)
        found = reason or measured_layers.get(name)
        column = f" | {layer_catalogue.from_config(name)}"
        layers[f"`{name}`{known}"] = None if found is None else found + column
    ops = {
        f"`{name}`": op_catalogue.result(name)
        if name in measured_ops or name not in op_catalogue.NETWORKS
        else None
        for name in sorted(op_catalogue.REGISTERED)
    }
    reasons = operation_catalogue.REASONS
    operations = {
        f"`{name}`": reasons.get(name) or measured_operations.get(name)
        for name in sorted(operation_catalogue.functions())
    }
    tflite_ops = {
        f"`{name}`": tflite_catalogue.result(name)
        if name in measured_tflite_ops or name not in tflite_catalogue.MODELS
        else None
        for name in tflite_catalogue.BUILTINS
    }
    onnx_ops = {
        f"`{name}`": onnx_catalogue.result(name)
        if name in measured_onnx_ops or name not in onnx_catalogue.CASES
        else None
        for name in onnx_catalogue.NAMES
    }
    torch_ops = {
        f"`{name}`": torch_catalogue.result(name)
        if name in measured_torch_ops or name not in torch_catalogue.CASES
        else None
        for name in torch_catalogue.NAMES
    }
    torch_classes = {
        f"`{name}`": torch_catalogue.result_of_class(name)
        if name in measured_torch_classes or name not in torch_catalogue.CLASSES
        else None
        for name in sorted(torch_catalogue.MODULES)
    }
    said = []
    for file, *titled in (
        ("layers.md", LAYERS, layers),
        ("keras_ops.md", OPERATIONS, operations),
        ("ops.md", OPS, ops),
        ("tflite_ops.md", TFLITE_OPS, tflite_ops),
        ("onnx_ops.md", ONNX_OPS, onnx_ops),
        ("torch_ops.md", TORCH_OPS, torch_ops, TORCH_CLASSES, torch_classes),
    ):
        titles, filled = titled[::2], titled[1::2]
        missing = sum(list(table.values()).count(None) for table in filled)
        if passed and not missing:
            text = ""
            for title, table in zip(titles, filled, strict=True):
                lines = (f"| {one} | {other} |\n" for one, other in table.items())
                text += title + "".join(lines)
            write_whole(DOCS / file, text.encode())
            said.append(f"docs/{file} is written")
            continue
        reason = f"this run did not measure {missing} of its rows"
        if not passed:
            reason = "a test failed, or was left out"
        said.append(f"docs/{file} is left as it is: {reason}")
    if passed and onnx_backend is not None:
        text = ONNX_BACKEND + "".join(onnx_backend)
        write_whole(DOCS / "onnx_backend.md", text.encode())
        said.append("docs/onnx_backend.md is written")
    return said
