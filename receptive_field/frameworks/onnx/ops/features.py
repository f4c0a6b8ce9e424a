"""Rules for ops of classical machine learning: ``ai.onnx.ml``.

Their inputs have a row of features for each sample. Models need all features of a row,
and rows stay apart.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from receptive_field.algebra.axis_map import ANYWHERE
from receptive_field.algebra.sizes import Size
from receptive_field.frameworks.onnx.ops.registry import register, weigh
from receptive_field.relations.relation import FULL, Relation, follow, whole
from receptive_field.rules.elementwise import UNARY
from receptive_field.rules.joining import joined, joined_axis, joined_shape
from receptive_field.rules.op import Call, Op, Relations, Shape, Taps, first_shape

# --- Each number on its own ----------------------------------------------------------

register(
    "ai.onnx.ml.Binarizer ai.onnx.ml.CategoryMapper ai.onnx.ml.Imputer "
    "ai.onnx.ml.LabelEncoder ai.onnx.ml.Scaler",
    UNARY,
)
weigh("ai.onnx.ml.Imputer ai.onnx.ml.Scaler", Taps.COPY)


# --- Whole rows ----------------------------------------------------------------------


def _row(call: Call, output: int) -> Relations:
    """Relates each row of a result to all features of its row."""
    shape = call.shape(0)
    if shape is None:
        return [call.all_of(0, exact=False)]
    outer = range(len(shape) - 1)
    return [Relation((*map(follow, outer), *[FULL] * bool(shape)))]


def _normalised(call: Call, output: int) -> Relations:
    shape = call.shape(0)
    if shape is None:
        return [call.all_of(0, exact=False)]
    last = len(shape) - 1
    return [Relation((*map(follow, range(last)), whole([last])))]


register("ai.onnx.ml.Normalizer", Op(_normalised, first_shape))


def _classes(call: Call) -> Size:
    """Returns the number of classes that a classifier knows."""
    for name in (
        "classlabels_ints",
        "classlabels_int64s",
        "classlabels_strings",
    ):
        labels = call.attribute(name)
        if labels:
            return len(labels)
    return call.unknown_size(1, 1)


def _targets(name: str) -> Callable[[Call], Sequence[Shape]]:
    """Returns the shape rule of an op with as many results as an attribute says."""

    def shapes(call: Call) -> Sequence[Shape]:
        shape = call.shape(0)
        count = call.number(name, 1)
        if shape is None:
            return [None]
        return [(shape[0] if len(shape) > 1 else 1, count)]

    return shapes


def _classified(call: Call) -> Sequence[Shape]:
    shape = call.shape(0)
    if shape is None:
        return [None, None]
    rows = shape[0] if len(shape) > 1 else 1
    return [(rows,), (rows, _classes(call))]


def _of_vector(call: Call, output: int) -> Relations:
    """Relates a result to rows; a vector is a single row."""
    shape = call.shape(0)
    if shape is not None and len(shape) == 1:
        return [Relation((FULL,))]
    return _row(call, output)


register(
    "ai.onnx.ml.LinearClassifier ai.onnx.ml.SVMClassifier "
    "ai.onnx.ml.TreeEnsembleClassifier",
    Op(_of_vector, _classified),
)
register("ai.onnx.ml.LinearRegressor", Op(_of_vector, _targets("targets")))
register(
    "ai.onnx.ml.TreeEnsemble ai.onnx.ml.TreeEnsembleRegressor",
    Op(_of_vector, _targets("n_targets")),
)
register("ai.onnx.ml.SVMRegressor", Op(_of_vector, _targets("n_results")))


# --- Moving features -----------------------------------------------------------------


def _vectors_axis(call: Call) -> int | None:
    shapes = [call.shape(number) for number in range(len(call))]
    known = next((shape for shape in shapes if shape is not None), ())
    return joined_axis(call, shapes, len(known) - 1)


def _vectors(call: Call, output: int) -> Relations:
    return joined(call, range(len(call)), _vectors_axis(call))


def _vectors_shape(call: Call) -> Sequence[Shape]:
    shapes = [call.shape(number) for number in range(len(call))]
    return [joined_shape(call, shapes, _vectors_axis(call))]


register("ai.onnx.ml.FeatureVectorizer", Op(_vectors, _vectors_shape))


def _extracted(call: Call, output: int) -> Relations:
    """Relates picked features to their row, in which they may be anywhere."""
    rank = len(call.known_shape(0))
    outer = range(rank - 1)
    picked = whole([rank - 1], ANYWHERE)
    return [Relation((*map(follow, outer), picked)), call.all_of(1, exact=False)]


def _extracted_shape(call: Call) -> Sequence[Shape]:
    *outer, _ = call.known_shape(0)
    places: Size = 1
    shape = call.shape(1)
    if shape is None:
        places = call.unknown_size(len(outer))
    for size in shape or ():
        places = places * size
    return [(*outer, places) if outer else (1, places)]


register("ai.onnx.ml.ArrayFeatureExtractor", Op(_extracted, _extracted_shape))


def _encoded(call: Call, output: int) -> Relations:
    """Relates the flags of all categories, on a new last axis, to a category."""
    rank = len(call.known_shape(0))
    return [Relation(tuple(map(follow, range(rank))))]


def _encoded_shape(call: Call) -> Sequence[Shape]:
    shape = call.known_shape(0)
    found = call.attribute("cats_int64s") or call.attribute("cats_strings")
    return [(*shape, len(found) if found else call.unknown_size(len(shape)))]


register("ai.onnx.ml.OneHotEncoder", Op(_encoded, _encoded_shape))
