"""Defines protobuf messages from tables of their fields.

Each wing has a descriptor pool and a package of its own, so its messages never collide
with those of a framework in the same process, whatever the order of imports. Fields
that the analysis does not need are left out of the tables, and protobuf skips them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_Field = descriptor_pb2.FieldDescriptorProto


def message_classes(
    package: str,
    messages: Mapping[str, Mapping[str, tuple[int, str]]],
    *,
    choices: Mapping[str, str],
    enums: Mapping[str, Mapping[str, int]] | None = None,
) -> Callable[[str], Any]:
    """Returns a function from the name of a message to its class.

    Args:
      package: the name of the package; each package has a pool of its own.
      messages: message -> field -> the field's number and type. "*" marks a repeated
        field, and "map" a map from strings. A capitalised type is a message or enum.
      choices: message -> the name of the group in which only one of all its fields is
        set.
      enums: enum -> value -> number.
    """
    file = descriptor_pb2.FileDescriptorProto(
        name=f"{package}.proto", package=package, syntax="proto3"
    )
    for name, values in (enums or {}).items():
        enum = file.enum_type.add(name=name)
        for value, number in values.items():
            enum.value.add(name=value, number=number)
    for name, fields in messages.items():
        message = file.message_type.add(name=name)
        for field, (number, kind) in fields.items():
            _add_field(message, package, field, number, kind, enums or {})
        if name in choices:
            message.oneof_decl.add(name=choices[name])
            for descriptor in message.field:
                descriptor.oneof_index = 0
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    return lambda name: message_factory.GetMessageClass(
        pool.FindMessageTypeByName(f"{package}.{name}")
    )


def _add_field(
    message: descriptor_pb2.DescriptorProto,
    package: str,
    name: str,
    number: int,
    kind: str,
    enums: Mapping[str, Any],
) -> None:
    repeated = kind.startswith(("*", "map "))
    if kind.startswith("map "):
        entry_name = name.title().replace("_", "") + "Entry"
        entry = message.nested_type.add(name=entry_name)
        entry.options.map_entry = True
        _add_field(entry, package, "key", 1, "string", enums)
        _add_field(entry, package, "value", 2, kind.removeprefix("map "), enums)
        kind = f"{message.name}.{entry_name}"
    kind = kind.removeprefix("*")
    field = message.field.add(name=name, number=number)
    field.label = _Field.LABEL_REPEATED if repeated else _Field.LABEL_OPTIONAL
    if kind[0].isupper():
        field.type = _Field.TYPE_ENUM if kind in enums else _Field.TYPE_MESSAGE
        field.type_name = f".{package}.{kind}"
    else:
        field.type = getattr(_Field, f"TYPE_{kind.upper()}")
