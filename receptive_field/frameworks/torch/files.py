"""Reads programs from ``.pt2`` files, without PyTorch.

A file holds its programs as JSON. Of the weights, only integers and booleans are read,
because they may be positions or masks.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from receptive_field.arrays import np
from receptive_field.errors import GraphError, quoted
from receptive_field.frameworks.torch.archives import Archive, opened
from receptive_field.frameworks.torch.program import (
    FLOATS,
    MOST_NUMBERS,
    MOST_VALUES,
    Kind,
    Program,
    Scope,
    Step,
    Value,
    Weight,
    keys_in,
    labels,
)

OLDEST_SCHEMA, NEWEST_SCHEMA = 5, 8
"""The major versions of PyTorch's schema of programs that are read."""

MOST_BYTES = 1 << 27
"""At most so many bytes of integers and booleans are kept."""

_DTYPES: Mapping[int, str] = {
    1: "uint8",
    2: "int8",
    3: "int16",
    4: "int32",
    5: "int64",
    6: "float16",
    7: "float32",
    8: "float64",
    9: "complex32",
    10: "complex64",
    11: "complex128",
    12: "bool",
    13: "bfloat16",
    14: "float8_e4m3fn",
    15: "float8_e5m2",
    28: "uint16",
    29: "float8_e4m3fn",
    30: "float8_e5m2",
    31: "float8_e4m3fnuz",
    32: "float8_e5m2fnuz",
    33: "float8_e8m0fnu",
    34: "uint32",
    35: "uint64",
}
"""Number of a data type in the schema -> its name."""

_LAYOUTS: Mapping[int, str] = {
    1: "sparse_coo",
    2: "sparse_csr",
    3: "sparse_csc",
    4: "sparse_bsr",
    5: "sparse_bsc",
    6: "_mkldnn",
    7: "strided",
}
_MEMORY_FORMATS: Mapping[int, str] = {
    1: "contiguous_format",
    2: "channels_last",
    3: "channels_last_3d",
    4: "preserve_format",
}
_WIDTHS: Mapping[str, int] = {
    "uint8": 1,
    "int8": 1,
    "int16": 2,
    "int32": 4,
    "int64": 8,
    "bool": 1,
    "uint16": 2,
    "uint32": 4,
    "uint64": 8,
}
"""Data type of integers or booleans -> bytes of a value."""

_SYMBOL = re.compile(r"Symbol\('(\w+)'[^()]*\)")
"""An unknown size that is no expression."""

_Sort = TypeVar("_Sort")


class _MalformedError(ValueError):
    """The JSON of a program is not what the schema says."""


@dataclass(frozen=True, slots=True)
class SavedProgram:
    """A program in a file."""

    path: str
    name: str


def read_file(
    path: str, signature: str | None = None
) -> tuple[Program, SavedProgram] | None:
    """Returns a program of a ``.pt2`` file, and where it is.

    Returns None if the file is no zip archive, or does not exist.

    Args:
      path: the path of the file.
      signature: the name of the program to read, if there are several.

    Raises:
      GraphError: if the file is damaged, or holds something else of PyTorch.
    """
    with opened(path) as archive:
        if archive is None:
            return None
        name = _chosen(archive, signature)
        return _read(archive, name), SavedProgram(path, name)


def _chosen(archive: Archive, signature: str | None) -> str:
    names = list(archive.programs)
    listed = ", ".join(map(repr, names))
    if signature is not None:
        if signature not in names:
            raise GraphError(
                f"{archive.path!r} has no program named {signature!r}. It has: "
                f"{listed}."
            )
        return signature
    if len(names) > 1:
        raise GraphError(
            f"{archive.path!r} holds several programs: {listed}. Choose one with "
            "signature."
        )
    return names[0]


def _read(archive: Archive, name: str) -> Program:
    content = archive.read(archive.programs[name])
    what = f"{archive.path!r} is a .pt2 archive, but its program {name!r}"
    try:
        saved = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise GraphError(
            f"{what} is no JSON that can be read ({quoted(error)}). Save or copy the "
            "model again."
        ) from None
    version = _version(saved)
    if version is None:
        raise GraphError(
            f"{what} does not say which version of PyTorch's schema it has. Save the "
            "model with torch.export.save."
        )
    read = f"This library reads versions {OLDEST_SCHEMA} to {NEWEST_SCHEMA}."
    if not OLDEST_SCHEMA <= version[0] <= NEWEST_SCHEMA:
        raise GraphError(
            f"{what} has version {version[0]}.{version[1]} of PyTorch's schema. {read} "
            "Save the model with another release of PyTorch (2.4 to 2.13), or pass the "
            "program that torch.export.load returns."
        )
    try:
        return _program(saved, _Constants(archive, name))
    except (_MalformedError, RecursionError) as error:
        is_deep = isinstance(error, RecursionError)
        raise GraphError(
            f"{what} is malformed: {'it is nested too deeply' if is_deep else error}. "
            "(It has "
            f"version {version[0]}.{version[1]} of PyTorch's schema. {read}) Save the "
            "model again."
        ) from None


def _version(saved: Any) -> tuple[int, int] | None:
    try:
        found = _field(saved, "schema_version", dict)
        return _field(found, "major", int), _field(found, "minor", int)
    except _MalformedError:
        return None


def _program(saved: Any, constants: _Constants) -> Program:
    module = _field(saved, "graph_module", dict)
    signature = _field(module, "signature", dict)
    inputs, weights, fixed = [], {}, {}
    for spec in _field(signature, "input_specs", list):
        kind, value = _only(spec)
        if kind == "constant_input":
            inputs.append(_field(value, "name", str))
            fixed[inputs[-1]] = _fixed(*_only(_field(value, "value", dict)))
        elif kind == "user_input":
            inputs.append(_name(*_only(_field(value, "arg", dict))))
        else:
            name = _field(_field(value, "arg", dict), "name", str)
            weights[name] = _weight(kind, value, constants)
    placeholders = [*inputs, *weights]
    graph = _Graph(_field(module, "graph", dict), placeholders, fixed)
    program = graph.program
    program.inputs, program.weights = inputs, weights
    fields = _tuple_fields(module)
    entries = _field(module, "module_call_graph", list)
    stated = {_field(entry, "fqn", str): entry.get("signature") for entry in entries}
    whole = stated.pop("", None)
    spec = None if whole is None else _spec(_field(whole, "out_spec", str), fields)
    returned = [
        graph.returned(_field(value, "arg", dict))
        for kind, value in map(_only, _field(signature, "output_specs", list))
        if kind == "user_output"
    ]
    program.outputs = _labelled(spec, returned)
    program.calls = {
        call: (
            call.partition("@")[0],
            _labelled(
                _spec(_field(found, "out_spec", str), fields),
                [graph.returned(part) for part in _field(found, "outputs", list)],
            ),
        )
        for call, found in stated.items()
        if found is not None
    }
    return program


def _weight(kind: str, value: Any, constants: _Constants) -> Weight:
    if kind == "token":
        return Weight(kind, "")
    path = _field(value, f"{kind}_name", str)
    if kind in ("buffer", "tensor_constant"):
        found = constants.values(path)
        return Weight("buffer" if kind == "buffer" else "constant", path, found)
    return Weight(kind, path)


def _labelled(
    spec: Any, values: Sequence[Value | None]
) -> list[tuple[str, Value | None]]:
    names = list(labels(spec))
    if len(names) != len(values):
        raise _MalformedError(f"it names {len(names)} of {len(values)} results")
    return list(zip(names, values, strict=True))


class _Graph:
    """Reads a graph.

    Attributes:
      program: the steps, with the placeholders as inputs.
      names: name of a value in the file -> its name in the program.
    """

    def __init__(
        self,
        graph: Mapping[str, Any],
        placeholders: Sequence[str],
        fixed: Mapping[str, Any],
    ) -> None:
        self.program = Program([], [*placeholders], [])
        self.names: dict[str, str] = {}
        self._taken: set[str] = set()
        self._kinds: dict[str, Any] = {}
        for kinds, read in (
            ("tensor_values", _tensor_kind),
            ("sym_int_values", _number_kind),
            ("sym_float_values", _number_kind),
            ("sym_bool_values", _number_kind),
        ):
            for name, stated in _field(graph, kinds, dict, {}).items():
                self._kinds[name] = read(stated)
        for name in placeholders:
            self._define(name, name)
            if name in fixed:
                value = fixed[name]
                sizes = None if value is None else ()
                self.program.kinds[name] = Kind(sizes, type(value).__name__)
        for node in _field(graph, "nodes", list):
            self._read_node(node)

    def value(self, name: str) -> Value:
        """Returns the value of a name in the file, which must have been computed."""
        if name not in self.names:
            raise _MalformedError(f"the value {name!r} is read before it is computed")
        return Value(self.names[name])

    def returned(self, argument: Any) -> Value | None:
        """Returns the value that an argument is, or None if it is a constant."""
        found = self._argument(argument)
        return found if isinstance(found, Value) else None

    def _define(self, name: str, found: str) -> None:
        if name in self.names or found in self._taken:
            raise _MalformedError(f"the value {name!r} is computed twice")
        self._taken.add(found)
        self.names[name] = found
        self.program.kinds[found] = self._kinds.get(name, Kind(None))

    def _read_node(self, node: Any) -> None:
        target = _field(node, "target", str).removeprefix("torch.ops.").lstrip("_")
        arguments: dict[str, Any] = {}
        has_schema = not target.startswith(("operator.", "math.", "torch."))
        for number, stated in enumerate(_field(node, "inputs", list)):
            name = _field(stated, "name", str)
            is_named = name and (has_schema or stated.get("kind") == 2)
            argument = self._argument(_field(stated, "arg", dict))
            arguments[name if is_named else str(number)] = argument
        metadata = _field(node, "metadata", dict, {})
        scopes = tuple(_scopes(_field(metadata, "nn_module_stack", str, "")))
        code = _field(metadata, "stack_trace", str, "")
        outputs = self._outputs(node, target)
        self.program.steps.append(Step(target, arguments, outputs, scopes, code))

    def _outputs(self, node: Any, target: str) -> list[str | None]:
        """Defines the results of a node, and returns their names.

        As in graphs of fx, a single result has the name of the node, and others are
        numbered.
        """
        stated = [_only(output) for output in _field(node, "outputs", list)]
        is_control = target.startswith("higher_order.")
        alone = len(stated) == 1 and not (
            stated[0][0] == "as_tensors"
            or (is_control and node.get("is_hop_single_tensor_return") is False)
        )
        name = node.get("name")
        if not isinstance(name, str) or not name:  # As in schemas before 8.15.
            name = _name(*stated[0]) if alone else ""
            name = name or self._unique(
                target.split(".")[1] if "." in target else target
            )
        if alone:
            results = {name: stated[0]}
        elif not stated and not is_control:
            results = {name: ("as_none", True)}
        else:
            if len(stated) == 1 and stated[0][0] == "as_tensors":
                stated = _tensors(stated[0][1])
            results = {}
            for number, (kind, value) in enumerate(stated):
                parts = _tensors(value) if kind == "as_tensors" else None
                if parts is None:
                    results[f"{name}#{number}"] = (kind, value)
                else:
                    for inner, part in enumerate(parts):
                        results[f"{name}#{number}#{inner}"] = part
        for found, (kind, value) in results.items():
            if kind == "as_none":
                self._taken.add(found)
                self.program.kinds[found] = Kind(None, "NoneType")
            else:
                self._define(_name(kind, value), found)
        return list(results)

    def _unique(self, name: str) -> str:
        number, found = 0, name
        while found in self._taken or found in self._kinds:
            number += 1
            found = f"{name}_{number}"
        return found

    def _argument(self, argument: Any) -> Any:
        kind, value = _only(argument)
        read = _ARGUMENTS.get(kind)
        if read is None:
            raise _MalformedError(
                f"there is no sort of argument named {quoted(kind)!r}"
            )
        return read(self, value)

    def _sizes(self, value: Any) -> Any:
        """Returns a symbolic number, or one that is known."""
        kind, found = _only(value)
        return self.value(found) if kind == "as_name" else _fixed(kind, found)

    def _subgraph(self, value: Any) -> Program:
        """Returns the program of a branch or of the body of a loop."""
        graph = _field(value, "graph", dict)
        names = []
        fixed = {}
        for number, part in enumerate(_field(graph, "inputs", list)):
            kind, found = _only(part)
            name = _name(kind, found)
            if not name:
                name = f"input_{number}"
                fixed[name] = _fixed(kind, found)
            names.append(name)
        inner = _Graph(graph, names, fixed)
        results = [inner.returned(part) for part in _field(graph, "outputs", list)]
        is_single = len(results) == 1 and graph.get("is_single_tensor_return") is True
        spec = None if is_single else [None] * len(results)
        inner.program.outputs = _labelled(spec, results)
        return inner.program

    def _object(self, value: Any) -> Any:
        """Returns an object of another library: a value, or the name of its class."""
        name = _field(value, "name", str)
        if name in self.names:
            return self.value(name)
        return _field(value, "class_fqn", str).rpartition(".")[2]

    def _tensor(self, value: Any) -> Value:
        return self.value(_field(value, "name", str))

    def _optional(self, value: Any) -> Value | None:
        kind, found = _only(value)
        return None if kind == "as_none" else self._tensor(found)


def _listed(read: Callable[[_Graph, Any], Any]) -> Callable[[_Graph, Any], list[Any]]:
    """Returns a function that reads a list of arguments."""

    def read_all(graph: _Graph, value: Any) -> list[Any]:
        if not isinstance(value, list):
            raise _MalformedError(f"{quoted(value)} is no list")
        return [read(graph, part) for part in value]

    return read_all


def _plain(kind: str) -> Callable[[_Graph, Any], Any]:
    """Returns a function that reads a number, a truth value or a text."""
    return lambda graph, value: _fixed(kind, value)


def _named(names: Mapping[int, str]) -> Callable[[_Graph, Any], str]:
    """Returns a function that reads the number of a name."""

    def read(graph: _Graph, value: Any) -> str:
        if type(value) is not int or value not in names:
            raise _MalformedError(f"{quoted(value)} is no number of a known name")
        return names[value]

    return read


def _device(graph: _Graph, value: Any) -> str:
    index = value.get("index") if isinstance(value, dict) else None
    return _field(value, "type", str) + ("" if index is None else f":{index}")


def _complex(graph: _Graph, value: Any) -> complex:
    parts = (_field(value, name, object) for name in ("real", "imag"))
    return complex(*(_fixed("as_float", part) for part in parts))


def _operator(graph: _Graph, value: Any) -> str:
    return str(_fixed("as_string", value)).removeprefix("torch.ops.").lstrip("_")


def _values(graph: _Graph, value: Any) -> list[Any]:
    if not isinstance(value, dict):
        raise _MalformedError(f"{quoted(value)} is no object")
    return [graph._argument(part) for part in value.values()]


_ARGUMENTS: Mapping[str, Callable[[_Graph, Any], Any]] = {
    "as_none": lambda graph, value: None,
    "as_tensor": _Graph._tensor,
    "as_tensors": _listed(_Graph._tensor),
    "as_nested_tensors": _listed(_listed(_Graph._tensor)),
    "as_optional_tensor": _Graph._optional,
    "as_optional_tensors": _listed(_Graph._optional),
    "as_int": _plain("as_int"),
    "as_ints": _listed(_plain("as_int")),
    "as_int_lists": _listed(_listed(_plain("as_int"))),
    "as_float": _plain("as_float"),
    "as_floats": _listed(_plain("as_float")),
    "as_float_lists": _listed(_listed(_plain("as_float"))),
    "as_bool": _plain("as_bool"),
    "as_bools": _listed(_plain("as_bool")),
    "as_string": _plain("as_string"),
    "as_strings": _listed(_plain("as_string")),
    "as_complex": _complex,
    "as_sym_int": _Graph._sizes,
    "as_sym_ints": _listed(_Graph._sizes),
    "as_sym_float": _Graph._sizes,
    "as_sym_floats": _listed(_Graph._sizes),
    "as_sym_bool": _Graph._sizes,
    "as_sym_bools": _listed(_Graph._sizes),
    "as_scalar_type": _named(_DTYPES),
    "as_memory_format": _named(_MEMORY_FORMATS),
    "as_layout": _named(_LAYOUTS),
    "as_device": _device,
    "as_graph": _Graph._subgraph,
    "as_custom_obj": _Graph._object,
    "as_operator": _operator,
    "as_string_to_argument": _values,
}
"""Sort of an argument -> what reads it."""


class _Constants:
    """Finds the values of buffers and constants of a program."""

    def __init__(self, archive: Archive, name: str) -> None:
        self._archive = archive
        self._left = MOST_BYTES
        self._order = "<"
        self._found: dict[str, tuple[str, Any]] = {}
        """Path of a tensor -> the folder that it is in, and what is said about it."""
        root = archive.root
        if f"{root}byteorder" in archive:
            order = archive.read(f"{root}byteorder", 16)
            self._order = ">" if order == b"big" else "<"
        for folder in ("weights", "constants"):
            entry = f"{root}data/{folder}/{name}_{folder}_config.json"
            if entry not in archive:
                continue
            try:
                config = json.loads(archive.read(entry))
                found = _field(config, "config", dict)
            except (ValueError, RecursionError) as error:
                raise GraphError(
                    f"the entry {entry!r} of {archive.path!r} is no JSON that can be "
                    f"read ({quoted(error)}). Save or copy the model again."
                ) from None
            for path, meta in found.items():
                self._found[path] = (f"{root}data/{folder}/", meta)

    def values(self, path: str) -> Callable[[], Any] | None:
        """Returns a function that returns values, or None if they are not known."""
        folder, meta = self._found.get(path, ("", {}))
        described = _field(meta, "tensor_meta", dict, {})
        if not described or _field(meta, "use_pickle", bool):
            return None
        kind = _tensor_kind(described)
        width = _WIDTHS.get(kind.dtype) or FLOATS.get(kind.dtype)
        most = MOST_NUMBERS if kind.dtype in FLOATS else MOST_VALUES
        sizes = [size for size in kind.sizes or () if isinstance(size, int)]
        steps = [step for step in kind.strides or () if isinstance(step, int)]
        known = len(kind.sizes or ()) == len(sizes) == len(steps)
        if width is None or not known or math.prod(sizes) > most:
            return None
        offset = _fixed(*_only(_field(described, "storage_offset", dict)))
        entry = folder + _field(meta, "path_name", str)
        if entry not in self._archive:
            return None
        content = self._archive.read(entry, self._left)
        if not content:
            return None  # Tensors on the meta device have no values.
        last = sum(step * (size - 1) for step, size in zip(steps, sizes, strict=True))
        if 0 not in sizes and (offset + last + 1) * width > len(content):
            raise _MalformedError(f"the tensor {path!r} does not fit into its bytes")
        self._left -= len(content)
        letter = kind.dtype[0] if kind.dtype != "bool" else "?"
        dtype = f"{self._order}{letter}{width if letter != '?' else ''}"

        def values() -> Any:
            if 0 in sizes:
                return np.zeros(sizes, dtype)
            strides = [step * width for step in steps]
            return np.ndarray(sizes, dtype, content, offset * width, strides)

        return values


def _tensor_kind(stated: Any) -> Kind:
    """Returns what is recorded about a tensor."""
    dtype = _DTYPES.get(_field(stated, "dtype", int), "")
    sizes = tuple(map(_size, _field(stated, "sizes", list)))
    steps = map(_size, _field(stated, "strides", list))
    strides = tuple(step if isinstance(step, int) else None for step in steps)
    is_strided = _LAYOUTS.get(_field(stated, "layout", int)) == "strided"
    if is_strided and len(strides) != len(sizes):
        raise _MalformedError(
            f"a tensor has {len(sizes)} sizes, {len(strides)} strides"
        )
    return Kind(sizes, dtype, strides if is_strided else None)


def _size(stated: Any) -> int | str | None:
    """Returns a size, its name, or None if it is an expression."""
    kind, value = _only(stated)
    if kind == "as_int":
        if type(value) is not int or value < 0:
            raise _MalformedError(f"{quoted(value)} is no size")
        return value
    symbol = _SYMBOL.fullmatch(_field(value, "expr_str", str))
    return None if symbol is None else symbol[1]


def _number_kind(stated: Any) -> Kind:
    """Returns what is recorded about a number."""
    kind, _ = _only(stated)
    name = {"as_int": "int", "as_float": "float", "as_bool": "bool"}.get(kind)
    return Kind((), name or "Sym")


def _scopes(text: str) -> Iterator[Scope]:
    """Yields the modules around a node: ``key,path,class`` for each of them."""
    for part in text.split(";") if text else ():
        fields = _outer_fields(part)
        if len(fields) != 3:
            raise _MalformedError(f"{quoted(part)} names no module")
        key, path, kind = fields
        yield Scope(
            key.removeprefix("L__self__"),
            path.partition("@")[0],
            kind.rpartition(".")[2],
        )


def _outer_fields(text: str) -> list[str]:
    """Splits a text at the commas outside of brackets."""
    found, depth = [""], 0
    for letter in text:
        depth += (letter in "[(") - (letter in "])")
        if letter == "," and depth == 0:
            found.append("")
        else:
            found[-1] += letter
    return found


def _tuple_fields(module: Mapping[str, Any]) -> Mapping[str, list[Any]]:
    """Returns the fields of the named tuples that a program returns, by type."""
    stated = _field(module, "treespec_namedtuple_fields", dict, {})
    return {name: _field(part, "field_names", list) for name, part in stated.items()}


def _spec(text: str, fields: Mapping[str, list[Any]]) -> Any:
    """Returns a tree spec of PyTorch in the form that `labels` takes."""
    try:
        spec = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _MalformedError(f"a tree spec is no JSON ({quoted(error)})") from None
    if not isinstance(spec, list) or len(spec) != 2:
        raise _MalformedError("a tree spec has no version")
    return _nested(spec[1], fields)


def _nested(spec: Any, fields: Mapping[str, list[Any]]) -> Any:
    children = _field(spec, "children_spec", list)
    if spec.get("type") is None:
        return None
    parts = [_nested(child, fields) for child in children]
    context = spec.get("context")
    if spec["type"] == "collections.namedtuple":
        context = fields.get(str(context))
    elif isinstance(context, str):
        try:
            context = json.loads(context)
        except ValueError:
            context = None  # The text of a class that the user registered.
    keys = keys_in(context, len(parts))
    return parts if keys is None else dict(zip(keys, parts, strict=True))


def _only(union: Any) -> tuple[str, Any]:
    """Returns the sort and the content of an object with one field."""
    if not isinstance(union, dict) or len(union) != 1:
        raise _MalformedError(f"{quoted(union)} is no object with a single field")
    ((kind, value),) = union.items()
    return kind, value


def _name(kind: str, value: Any) -> str:
    """Returns the name of the value that an argument is; empty for a constant."""
    if kind in ("as_sym_int", "as_sym_float", "as_sym_bool"):
        return _field(value, "as_name", str, "")
    if kind in ("as_tensor", "as_custom_obj"):
        return _field(value, "name", str)
    return ""


def _tensors(value: Any) -> list[tuple[str, Any]]:
    if not isinstance(value, list):
        raise _MalformedError(f"{quoted(value)} is no list")
    return [("as_tensor", part) for part in value]


def _fixed(kind: str, value: Any) -> Any:
    """Returns a number, a truth value, a text, or None."""
    if kind == "as_none":
        return None
    if kind == "as_float" and isinstance(value, str | int | float):
        try:
            return float(value)  # Infinity and NaN are texts.
        except (ValueError, OverflowError):
            raise _MalformedError(f"{quoted(value)} is no number") from None
    sorts = {"as_int": int, "as_bool": bool, "as_string": str}
    if type(value) is not sorts.get(kind):
        raise _MalformedError(f"{quoted(value)} does not fit {quoted(kind)!r}")
    return value


def _field(data: Any, name: str, sort: type[_Sort], default: Any = None) -> _Sort:
    """Returns a field of an object, which must have this type.

    Args:
      data: the object.
      name: the name of the field.
      sort: the type.
      default: what an absent field stands for; None if it must be there.
    """
    found = data.get(name, default) if isinstance(data, dict) else None
    if not isinstance(found, sort) or (sort is int and isinstance(found, bool)):
        raise _MalformedError(f"a {sort.__name__} named {name!r} is missing")
    return found
