"""Train the model that comes with the package: mnistgpu/models/README.md says with which result.

python benchmarks/shipped.py --out runs/shipped
cp runs/shipped/model.safetensors mnistgpu/models/digits.safetensors
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT)]


LET_THROUGH = 0.12  # of what is no digit


def recalibrate(path: Path) -> None:
    """Choose the energy above which an image is no digit by the tuning half of the made pictures.

    It lets through 12% of as many letters, scribbles and turned digits. The validation's own digits
    are more like the training's than people's are.
    """
    from made_pictures import measure, tuning

    from mnistgpu.models import model

    trained = model.load(path)
    found = measure.energies(trained, tuning.half(), 400)
    odd = np.concatenate([found[kind] for kind in ("letters", "scribbles", "turned")])
    energy = float(np.quantile(odd, LET_THROUGH))
    calibration = replace(trained.calibration, energy=round(energy, 4))
    model.save(replace(trained, calibration=calibration), path)


def main() -> None:
    from made_pictures import training

    import mnistgpu
    from mnistgpu.models import model

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
    recalibrate(given.out / model.FILE)
    print(f"{mnistgpu.load(given.out).evaluate().accuracy:.2%} of MNIST's test images")
    print(run)


if __name__ == "__main__":
    main()
