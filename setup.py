"""Package metadata; pyproject.toml holds the build system and tool settings."""

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
VERSION = re.search(
    r'^__version__ = "(.+)"$',
    (HERE / "receptive_field" / "__init__.py").read_text(encoding="utf-8"),
    re.MULTILINE,
)
PANDAS = ["pandas>=2"]
PLOT = ["matplotlib>=3.8"]
TENSORFLOW = ["tensorflow>=2.16.2", "keras>=3.3.3"]
BENCHMARK = [*TENSORFLOW, "rich>=13"]
TFLITE = ["ai-edge-litert>=2.0", "flatbuffers>=24.3"]
TORCH = ["torch>=2.13"]  # The oldest version that was tried.
TERMINAL = ["rich>=13", "shtab>=1.6"]
DOCS = [
    "latex2mathml>=3.77",
    "mkdocs-material>=9.5",
    "mkdocstrings[python]>=0.27",
    "ruff>=0.6",  # Lays out signatures.
]
MANY = ["dask[distributed]>=2024.1", "pyarrow>=14"]
ONNX = ["onnx>=1.17", "onnxruntime>=1.20"]
NOTEBOOK = [*TENSORFLOW, *PLOT, "ipykernel>=6", "pandas>=2"]
JUPYTER = ["notebook>=7"]  # Opens notebooks; the tests run them without it.

setup(
    name="receptive_field",
    version=VERSION.group(1),
    description="Which part of the input a feature of a convolutional network sees",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    license_files=["LICENSE"],
    packages=find_packages(include=["receptive_field", "receptive_field.*"]),
    package_data={"receptive_field": ["py.typed", "data/*", "report/page/*"]},
    python_requires=">=3.10",
    entry_points={
        "console_scripts": ["receptive-field = receptive_field.cli:command_line"]
    },
    install_requires=["absl-py>=1.4", "numpy>=1.24", "protobuf>=4.25"],
    extras_require={
        "benchmark": BENCHMARK,
        "docs": DOCS,
        "many": MANY,
        "pandas": PANDAS,
        "notebook": [*NOTEBOOK, *JUPYTER],
        "onnx": ONNX,
        "plot": PLOT,
        "tensorflow": TENSORFLOW,
        "terminal": TERMINAL,
        "tflite": TFLITE,  # To run files; reading them needs nothing.
        "torch": TORCH,  # For modules; files need nothing.
        "test": [
            *BENCHMARK,
            *DOCS,
            *MANY,
            *PANDAS,
            *NOTEBOOK,
            *ONNX,
            *PLOT,
            *TERMINAL,
            "hypothesis>=6.80",
            "jax>=0.4",  # Another backend of Keras.
            "mypy>=1.10",
            "nbclient>=0.8",
            "playwright>=1.40",  # The explorer's page; with a Chromium.
            "pytest>=8",
            "pytest-cov>=7",
            "pytest-xdist>=3",
            "ruff>=0.6",
            "scipy>=1.10",  # Spectrograms of Keras.
            "tf_keras>=2.16",
            "tf_slim>=1.1",
            "types-protobuf>=5",
        ],
    },
    classifiers=[
        "Development Status :: 5 - Production/Stable",
        "Intended Audience :: Science/Research",
        "Programming Language :: Python :: 3",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
    ],
)
