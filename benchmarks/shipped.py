"""Train the model that comes with the package: mnistgpu/models/README.md says with which result.

python benchmarks/shipped.py --out runs/shipped
cp runs/shipped/digits.safetensors mnistgpu/models/digits.safetensors

It consists of two networks side by side, trained on different digits: its logits are the means of
theirs. `--from` makes it of two trained ones.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT)]

LAYERS, KEPT = "784-256-128-10", (240, 120)  # of each network; units of each that are kept
COPIES = 16  # of an image, deformed a little, over which answers are averaged
MADE = (
    "Two networks 784-256-128-10, trained with these settings in 100 and 180 epochs on different "
    "digits, pruned and put side by side: its logits are the means of theirs. "
    "`python benchmarks/shipped.py` in the repository of mnistgpu makes it."
)
REFUSED = 0.02  # of the digits of hands and fonts that are not in the training


def trained(out: Path, seed: int) -> list[Path]:
    """The files of the two networks, trained with these directories' names in `out`."""
    from made_pictures import training

    import mnistgpu
    from mnistgpu.models import model

    sets = {
        "few": (100, {"count": 8_000, "odd": 8_000, "writers": training.FEW}),
        "more": (180, {"count": 16_000, "odd": 12_000, "writers": training.MORE}),
    }
    for name, (epochs, given) in sets.items():
        (X, y), validation = training.people(seed, **given)
        run = mnistgpu.fit(
            X,
            y,
            recipe="strong",
            layers=LAYERS,
            epochs=epochs,
            seed=seed,
            validation=validation,
            out=out / name,
        )
        print(run)
    return [out / name / model.FILE for name in sets]


def pruned(network, images: np.ndarray):
    """The layers of a trained network without the units that contribute least, at these images.

    What a removed unit contributes on average goes to the biases of the next layer.
    """
    layers = [(W.copy(), b.copy()) for W, b in network.layers]
    A = images.T.astype(np.float32) / 255.0
    for i, kept in enumerate(KEPT):
        (W, b), (after, bias) = layers[i], layers[i + 1]
        A = np.maximum(W @ A + b, 0.0)  # (units, N)
        order = np.argsort(-A.std(axis=1) * np.linalg.norm(after, axis=0), kind="stable")
        own, gone = np.sort(order[:kept]), np.sort(order[kept:])
        layers[i] = W[own], b[own]
        layers[i + 1] = after[:, own], bias + after[:, gone] @ A[gone].mean(axis=1, keepdims=True)
        A = A[own]
    return layers


def side_by_side(first, second):
    """The layers of one network whose logits are the means of those of two of as many layers."""
    joined = []
    for i, ((W, b), (V, c)) in enumerate(zip(first, second, strict=True)):
        if i == 0:
            both = np.vstack([W, V])
        elif i < len(first) - 1:
            apart = np.zeros((len(W), V.shape[1])), np.zeros((len(V), W.shape[1]))
            both = np.block([[W, apart[0]], [apart[1], V]])
        else:
            joined.append((np.hstack([W, V]) / 2.0, (b + c) / 2.0))
            break
        joined.append((both, np.vstack([b, c])))
    return joined


def of_two(paths: list[Path]):
    """One model of two model files, with numbers of float16."""
    from made_pictures import training

    from mnistgpu.models import model

    networks = [model.load(path) for path in paths]
    images = training.mnist()[0][:8_000]
    layers = side_by_side(*(pruned(each, images) for each in networks))
    theta = np.concatenate([part.ravel() for layer in layers for part in layer])
    sizes = (784, *(W.shape[0] for W, _ in layers))
    last = networks[-1]
    settings = last.settings | {"layers": "-".join(map(str, sizes))}
    halves = theta.astype(np.float16)
    return replace(last, theta=halves, sizes=sizes, settings=settings, made=MADE)


def calibrated(halves):
    """The model with a calibration that is fitted on made pictures.

    Both by digits of hands, fonts, displays and small images that neither network was trained with;
    2% of them are above the energy. The validation's digits are more like the training's than
    people's are.
    """
    from made_pictures import hands, measure

    from mnistgpu.backend import NUMPY
    from mnistgpu.models import calibration, committee

    own = replace(halves, theta=halves.theta.astype(np.float32))

    def answered(images: np.ndarray) -> np.ndarray:
        return committee.averaged(own, images, NUMPY, COPIES)

    images, labels = measure.digits_of(hands.stranger, 4_000)
    means = answered(images)
    fitted = calibration.fitted(means, labels)
    energy = float(np.quantile(calibration.energy_of(means), 1.0 - REFUSED))
    return replace(halves, calibration=replace(fitted, energy=round(energy, 4), copies=COPIES))


def main() -> None:
    import mnistgpu
    from mnistgpu.models import model

    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="the directory of both runs")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--from", dest="given", type=Path, nargs=2, help="two trained networks instead of training"
    )
    parser.add_argument("--test", action="store_true", help="read MNIST's test images as well")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    path = given.out / "digits.safetensors"
    model.save(calibrated(of_two(given.given or trained(given.out, given.seed))), path)
    print(f"{path}: {path.stat().st_size:,} bytes, {model.load(path).calibration}")
    if given.test:
        print(f"{mnistgpu.load(path).evaluate().accuracy:.2%} of MNIST's test images")


if __name__ == "__main__":
    main()
