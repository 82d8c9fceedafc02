#!/bin/sh
# All that a machine with a GPU can show, in one run of at most 8 minutes, without a network:
#   sh benchmarks/on_gpu.sh [FOLDER [FLAGS]]
# runs the doctor, `python -m pytest -m gpu` and all measurements (benchmarks/gpu.py --all FLAGS),
# and writes what they find into FOLDER (benchmarks/results). Packages that the machine lacks come
# from the wheels of benchmarks/pack_wheels.py, if they were carried along in .ci/wheels-gpu/.
set -eu
cd "$(dirname "$0")/.."
python=${PYTHON:-python3} folder=${1:-benchmarks/results}
[ $# -eq 0 ] || shift
site=$(mktemp -d)
trap 'rm -rf "$site"' EXIT
for wheel in "${WHEELS:-.ci/wheels-gpu}"/*.whl; do
    [ -e "$wheel" ] || continue
    name=$(basename "$wheel")
    name=${name%%-*}
    "$python" -c "from importlib.metadata import version; version('$name')" 2>/dev/null ||
        "$python" -m pip install --quiet --no-index --no-deps --target "$site" "$wheel"
done
export PYTHONPATH="$PWD:$site${PYTHONPATH:+:$PYTHONPATH}" PYTHONUNBUFFERED=1
"$python" benchmarks/gpu.py --all --out "$folder" "$@"
