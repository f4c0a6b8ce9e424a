"""Ops of classical machine learning, each in a model of its own."""

from __future__ import annotations

from typing import Any

from onnx_cases import Cases, case

ML = "ai.onnx.ml"


def row(op: str, **given: Any) -> Any:
    """A case of an op on rows of features, which lie on the last axis."""
    return case(
        op,
        domain=ML,
        **({"shape": (3, 4), "check_axes": (1,), "check_exact": True} | given),
    )


CASES: Cases = {
    "ai.onnx.ml.Scaler": [
        row("Scaler", offset=[0.5], scale=[2.0], check_channels=(0,)),
    ],
    "ai.onnx.ml.Normalizer": [
        row("Normalizer", norm=norm, check_channels=(0,))
        for norm in ("L1", "L2", "MAX")
    ],
    "ai.onnx.ml.Imputer": [
        row(
            "Imputer",
            imputed_value_floats=[0.0],
            replaced_value_float=float("nan"),
            check_channels=(0,),
        )
    ],
    "ai.onnx.ml.Binarizer": [
        row("Binarizer", threshold=1.0, check_channels=(0,), check_exact=True)
    ],
}

REASONS = {
    f"{ML}.{name}": "its rows lie on the first axis, and it needs all of a row"
    for name in (
        "LinearClassifier",
        "LinearRegressor",
        "SVMClassifier",
        "SVMRegressor",
        "TreeEnsemble",
        "TreeEnsembleClassifier",
        "TreeEnsembleRegressor",
    )
} | {
    f"{ML}.FeatureVectorizer": "it joins features of a row",
    f"{ML}.CategoryMapper": "it reads texts, or numbers that stand for them",
    f"{ML}.LabelEncoder": "it reads texts, or numbers that stand for them",
    f"{ML}.OneHotEncoder": "it reads texts, or numbers that stand for them",
}

UNSUPPORTED = {
    "RegexFullMatch": "it reads texts, which have no positions",
    "StringConcat": "it reads texts, which have no positions",
    "StringNormalizer": "it reads texts, which have no positions",
    "StringSplit": "it reads texts, which have no positions",
    "TfIdfVectorizer": "it counts words, wherever they are",
    f"{ML}.CastMap": "its input is a map, which has no positions",
    f"{ML}.DictVectorizer": "its input is a map, which has no positions",
    f"{ML}.ZipMap": "its output is a list of maps, which have no positions",
}
