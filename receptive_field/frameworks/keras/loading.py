"""Loads a model that only Keras can make from its config, without running its code."""

from __future__ import annotations

import json
import math
import os
import textwrap
from collections.abc import Mapping
from contextlib import suppress
from importlib.util import find_spec
from tempfile import TemporaryFile
from threading import Thread
from typing import Any
from zipfile import ZIP_STORED, is_zipfile

from receptive_field.budget import ExhaustedError, hold
from receptive_field.errors import GraphError
from receptive_field.frameworks.contents import CHUNK, Unpacked
from receptive_field.frameworks.keras.calls import NoModelError
from receptive_field.frameworks.keras.configs import check_order, version_of
from receptive_field.frameworks.keras.files import PASS_THE_OBJECT, archive_in, is_json
from receptive_field.frameworks.keras.hdf5 import MAGIC as HDF5_MAGIC
from receptive_field.frameworks.keras.hdf5 import EndlessError, check_heaps
from receptive_field.frameworks.keras.trust import distrust_of
from receptive_field.frameworks.quiet import imported

LONGEST_REASON = 300
"""The most characters of a reason in an error."""

NUMBERS_A_BYTE = 2
"""The most weights that a byte of a file can hold."""


def _numbers(keras: Any, config: Mapping[str, Any]) -> int:
    """Returns how many weights a model has, which is built without them.

    It is built in a thread of its own. Keras notes weights that are not made yet, for
    each thread, and makes them as soon as anything else is traced in this thread.
    """
    found = [0]

    def count() -> None:
        if hasattr(keras, "StatelessScope"):
            scope = keras.StatelessScope(initialize_variables=False)
        else:
            scope = imported("tensorflow").Graph().as_default()
        with suppress(Exception), scope:  # If it fails, loading it tells why.
            model = keras.models.model_from_json(json.dumps(config))
            found.append(sum(math.prod(weight.shape) for weight in model.weights))

    thread = Thread(target=count, daemon=True)
    thread.start()
    thread.join()
    return found[-1]


def _check_weights(path: str) -> None:
    """Checks that h5py comes to an end with the weights in a file, in bounded memory.

    Raises:
      EndlessError: if it might not.
      ExhaustedError: if there are more numbers than fit in the file.
      GraphError: if weights are in another file.
    """
    with open(path, "rb") as file:  # An archive of Keras holds weights as they are.
        check_heaps(file)
        if not is_zipfile(path):
            _check_arrays(file, path)
            return
    with archive_in(path) as archive:
        for member in archive.infolist():
            if member.is_dir():
                continue
            with archive.open(member) as packed:
                if member.compress_type == ZIP_STORED:
                    _check_arrays(packed, path)
                    continue
                with TemporaryFile() as content:
                    unpacked = Unpacked(packed, member.compress_size, repr(path))
                    while chunk := unpacked.read(CHUNK):
                        content.write(chunk)
                    content.flush()
                    check_heaps(content)
                    _check_arrays(content, path)


def _check_arrays(file: Any, path: str) -> None:
    """Checks the sizes of the arrays in a file, if it is an HDF5 file.

    Keras may read arrays before it compares their shapes with those of the weights, and
    an array may have a large shape without any content.
    """
    file.seek(0)
    if file.read(len(HDF5_MAGIC)) != HDF5_MAGIC:
        return
    import h5py  # type: ignore[import-untyped]

    broken = (KeyError, OSError, RuntimeError, TypeError, ValueError)
    numbers, elsewhere = 0, False
    known: set[int] = set()
    with (
        suppress(*broken),
        h5py.File(file, "r") as opened,
    ):  # Keras tells what is wrong.
        waiting: list[Any] = [opened]
        while waiting:
            group = waiting.pop()
            names: list[str] = []
            with suppress(*broken):
                names = list(group)
            for name in names:
                with suppress(*broken):
                    link = group.get(name, getlink=True)
                    if not isinstance(link, h5py.HardLink):
                        elsewhere |= isinstance(link, h5py.ExternalLink)
                        continue
                    found = group[name]
                    place = h5py.h5o.get_info(found.id).addr
                    if place in known:
                        continue
                    known.add(place)
                    if isinstance(found, h5py.Dataset):
                        numbers += found.size or 0
                        elsewhere |= bool(found.external or found.is_virtual)
                    else:
                        waiting.append(found)
    if elsewhere:
        raise GraphError(
            f"{path!r} is not loaded, because its weights are in another file. "
            f"{PASS_THE_OBJECT}"
        )
    try:
        hold(numbers - NUMBERS_A_BYTE * os.path.getsize(path))
    except ExhaustedError as error:
        raise error.at(f"{path!r}, whose arrays do not fit in the file,") from None


def loaded(path: str, config: Mapping[str, Any], reason: str = "") -> Any:
    """Loads the model in a file, unless its config names anything that may run code.

    Safe mode does not keep all releases of Keras from running what a file says.

    Args:
      path: the file.
      config: the config in it.
      reason: why the model must be loaded. By default, because it is to be run.

    Raises:
      GraphError: if Keras may not load the file, cannot load it, or is not installed.
    """
    reason = textwrap.shorten(reason, LONGEST_REASON)
    version = version_of(config)
    what = f"{path!r} is a model of Keras {version}"
    unread = f", and cannot be read: {reason}. " if reason else ". To run it: "
    if version == 1:
        raise GraphError(
            f"{what}{unread}No later version loads it. Build the model in one of them "
            "and pass the object."
        )
    is_old = version == 2 and find_spec("tf_keras") is not None
    package = "tf_keras" if is_old else "keras"
    distrust = distrust_of(config)
    if distrust is None and is_json(path):
        raise GraphError(
            f"{what}{unread}Load it with {package}.models.model_from_json and pass the "
            "object."
        )
    if distrust is None and find_spec(package) is None:
        raise GraphError(
            f"{what}{unread}Keras is not installed: run pip install "
            '"receptive_field[tensorflow]"'
        )
    distrust = distrust or distrust_of(config, package)
    if distrust is not None:
        where, why, model = distrust
        state = "state what the layer does with register_layer or overrides."
        if model is not None:
            state = (
                "if the class does not override `call`, so that its config says how "
                f"its layers are called, state register_layer({model!r}, 'model')."
            )
        also = f"{what}{unread}" if reason and where not in reason else f"{what}. "
        raise GraphError(
            f"{also}It is not loaded, because {where} {why}. {PASS_THE_OBJECT} Or "
            f"{state}"
        )
    try:
        check_order(config)
        _check_weights(path)
    except (NoModelError, EndlessError) as error:
        raise GraphError(
            f"{path!r} cannot be read: {error}. Save or copy the model again."
        ) from None
    keras = imported(package)
    try:
        hold(_numbers(keras, config) - NUMBERS_A_BYTE * os.path.getsize(path))
    except ExhaustedError as error:
        place = f"the model in {path!r}, beyond the weights that fit in the file,"
        raise error.at(place) from None
    try:
        return keras.models.load_model(path, compile=False, safe_mode=True)
    except Exception as error:
        failed = textwrap.shorten(str(error), LONGEST_REASON) or type(error).__name__
        if reason:
            also = f"{what}{unread}Keras cannot load it, either: {failed}"
        else:
            also = f"Keras cannot load {path!r}: {failed}"
        raise GraphError(f"{also} {PASS_THE_OBJECT}") from error
