"""Train the model that comes with the package: mnistgpu/models/README.md says with which result.

python benchmarks/shipped.py --out runs/shipped
cp runs/shipped/model.safetensors mnistgpu/models/digits.safetensors
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT)]


def main() -> None:
    from made_pictures import training

    import mnistgpu

    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="the run's directory")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    (X, y), validation = training.people(given.seed)
    run = mnistgpu.fit(
        X,
        y,
        recipe="strong",
        layers="784-256-128-10",
        epochs=100,
        seed=given.seed,
        validation=validation,
        out=given.out,
    )
    print(f"{mnistgpu.load(given.out).evaluate().accuracy:.2%} of MNIST's test images")
    print(run)


if __name__ == "__main__":
    main()
