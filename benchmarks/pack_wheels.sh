#!/bin/sh
# Pack the wheels that a GPU's machine without a network may lack, for --graph and --precision bf16:
#   sh benchmarks/pack_wheels.sh [PYTHON [CUDA]]      for Python 3.12 and CUDA 13 on x86-64 Linux
# into .ci/wheels-gpu/, from where benchmarks/on_gpu.sh installs those that are missing there.
set -eu
cd "$(dirname "$0")/.."
python=${1:-3.12} cuda=${2:-13} folder=.ci/wheels-gpu
rm -rf "$folder"
platforms=
for glibc in 2014 1 _2_17 _2_24 _2_27 _2_28 _2_34 _2_35; do # pip takes each of these names by itself
    platforms="$platforms --platform manylinux${glibc}_x86_64"
done
# shellcheck disable=SC2086 # one argument for each word
"${PYTHON:-python3}" -m pip download --quiet --no-deps --only-binary=:all: --dest "$folder" \
    --python-version "$python" --implementation cp $platforms \
    'nvmath-python>=1.0,<2' "cuda-bindings>=$cuda,<$((cuda + 1))" cuda-core cuda-pathfinder \
    'threadpoolctl>=3.5'
ls -sh "$folder"
