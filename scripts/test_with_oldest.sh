#!/usr/bin/env bash
# Runs the tests on the oldest TensorFlow and Keras that setup.py says are supported.
#
#   scripts/test_with_oldest.sh [pytest arguments]
#
# It takes a Python that this TensorFlow has packages for (3.10 or 3.11): the one in
# PYTHON, or python3. Not a part of CI.
set -euo pipefail
cd "$(dirname "$0")/.."
export TF_CPP_MIN_LOG_LEVEL=3

environment=$(mktemp -d)
trap 'rm -rf "$environment"' EXIT
"${PYTHON:-python3}" -m venv "$environment"
"$environment/bin/pip" install --quiet \
  "tensorflow==2.16.2" "keras==3.3.3" "tf_keras==2.16.0" "protobuf==4.25.*" \
  "numpy==1.24.*" -e ".[test]"
"$environment/bin/pip" list | grep --ignore-case -E '^(tensorflow|keras|tf_keras|numpy|protobuf) '
"$environment/bin/python" -m pytest -n 2 "$@"
