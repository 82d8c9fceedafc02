"""What each part of a recipe is worth: validation accuracy with one thing changed at a time.

Run:  python benchmarks/ablation.py [--recipes fast accurate pure strong clothes few] [--seeds 0 1]

10,000 training images are held out, and the test set is never read. `few` has 100 labels, drawn by
5 + seed as in board.py, and is judged on 1,000 other images; `clothes` is trained on Fashion-MNIST
(Debian's package dataset-fashion-mnist). `pure`, `strong` and `few` train for fewer epochs than the
recipe (the table says how many), so only the differences to the first row mean something. Writes
benchmarks/results/ablation.json after each row, and .md at the end; the same command goes on where
it was stopped, and measures a recipe anew whose settings have changed.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import json
import statistics
from pathlib import Path
from typing import Any

from board import HELD_OUT, with_few_labels
from board_table import FASHION

from mnistgpu import backend, data
from mnistgpu.maths.augment import preset
from mnistgpu.recipes import RECIPES
from mnistgpu.runs import training
from mnistgpu.settings import Settings

RESULTS = Path(__file__).parent / "results"
NOT_DEFORMED = {"rotation": 0.0, "scaling": 0.0, "shear": 0.0, "shift": 0.0, "elastic": 0.0}
CHANGES = {
    "fast": {
        "as it is": {},
        "no label smoothing": {"label_smoothing": 0.0},
        "all pixels": {"min_ink": 0.0},
        "no centring": {"center": False},
        "learning rate a third": {"learning_rate": 0.004},
        "one hidden layer": {"layers": "784-192-10"},
        "wider, 384-192": {"layers": "784-384-192-10"},
        "twice the epochs": {"epochs": 4},
        "cosine": {"schedule": "cosine"},
        "one-cycle, no warm-up": {"schedule": "one-cycle", "warmup": 0.0},
        "constant rate": {"schedule": "constant"},
        "no warm-up": {"warmup": 0.0},
        "Nesterov, rate 0.1": {"optimizer": "nesterov", "learning_rate": 0.1},
        "gradient descent, rate 0.5": {"optimizer": "gradient-descent", "learning_rate": 0.5},
        "moving average of the weights": {"ema": 0.98},
        "weight decay 0.01": {"weight_decay": 0.01},
        "batch normalisation": {"batch_norm": True},
        "weights no longer than 2 (max-norm)": {"max_norm": 2.0},
        "gradients no longer than 1": {"clip_norm": 1.0},
        "L2 0.0001": {"l2": 1e-4},
        "leaky ReLU": {"activation": "leaky-relu"},
        "GELU": {"activation": "gelu"},
        "tanh": {"activation": "tanh"},
        "scaled tanh": {"activation": "scaled-tanh"},
        "sigmoid": {"activation": "sigmoid"},
    },
    "accurate": {
        "as it is": {},
        "no batch normalisation": {"batch_norm": False, "learning_rate": 0.003},
        "no hidden noise": {"hidden_noise": 0.0},
        "no input noise": {"input_noise": 0.0},
        "no noise at all": {"input_noise": 0.0, "hidden_noise": 0.0},
        "dropout instead of noise": {
            "input_noise": 0.0, "hidden_noise": 0.0, "input_dropout": 0.1, "hidden_dropout": 0.3,
        },
        "no label smoothing": {"label_smoothing": 0.0},
    },
    "pure": {
        "as it is": {},
        "no decoder": {"denoising": 0.0},
        "no decoder, no noise": {"denoising": 0.0, "input_noise": 0.0, "hidden_noise": 0.0},
        "a tenth of its cost": {"denoising": 100.0},
        "adversarial loss in its place": {
            "denoising": 0.0, "input_noise": 0.0, "hidden_noise": 0.0, "adversarial": 2.0,
        },
        "no noise on hidden units": {"hidden_noise": 0.0},
        "two layers of 800": {"layers": "784-800-800-10"},
        "batches of 100": {"batch_size": 100, "learning_rate": 0.002},
        "label smoothing 0.05": {"label_smoothing": 0.05},
        "moving average of the weights": {"ema": 0.999},
        "pixels inked in more than 1%": {"min_ink": 0.01},
    },
    "strong": {
        "as it is": {},
        "no elastic distortion": {"elastic": 0.0},
        "elastic distortion alone": {"rotation": 0.0, "scaling": 0.0, "shear": 0.0, "shift": 0.0},
        "no rotation": {"rotation": 0.0},
        "no scaling": {"scaling": 0.0},
        "no shear": {"shear": 0.0},
        "no shift": {"shift": 0.0},
        "no clean ending": {"clean_ending": 0.0},
        "one map for 128 images": {"images_per_map": 128},
        "one map for each image": {"images_per_map": 1},
        "no label smoothing": {"label_smoothing": 0.0},
        "batch normalisation": {"batch_norm": True},
        "Ciresan's deformations": {**preset("ciresan"), "images_per_map": 32},
        "no deformation": NOT_DEFORMED,
    },
    "clothes": {
        "as it is": {},
        "none mirrored": {"mirror": 0.0},
        "deformations of strong, half mirrored": preset("strong") | {"mirror": 0.5},
        "no deformation": NOT_DEFORMED | {"mirror": 0.0},
        "no batch normalisation": {"batch_norm": False},
        "no noise": {"input_noise": 0.0},
    },
    "few": {
        "as it is": {},
        "no mutual information": {"information": 0.0},
        "a third of the mutual information": {"information": 0.1},
        "three times of the mutual information": {"information": 1.0},
        "no consistency, all images deformed": {"consistency": 0.0},
        "consistency with a weight of 3": {"consistency": 3.0},
        "layers, noise and decoder of pure in its place": NOT_DEFORMED | {
            "consistency": 0.0, "layers": RECIPES["pure"].settings.layers, "denoising": 1000.0,
            "input_noise": 0.3, "hidden_noise": 0.3,
        },
    },
}  # fmt: skip
EPOCHS = {"fast": 2, "accurate": 29, "pure": 20, "strong": 10, "clothes": 64, "few": 10}


load = functools.cache(data.load)  # once, for all rows


def digits_for(name: str, seed: int) -> data.Dataset:
    """What a recipe is trained and judged on."""
    every = load(FASHION if name == "clothes" else None)
    if name != "few":
        return dataclasses.replace(every, test=None)
    few = with_few_labels(every, 100, 5 + seed, HELD_OUT)
    return dataclasses.replace(few, test=None, validation=few.test)


def settings_of(name: str) -> Settings:
    """What a recipe is measured with, before anything is changed."""
    own = {"validation": 0, "unlabeled": "arrays"} if name == "few" else {"validation": 10_000}
    return RECIPES[name].settings.changed(epochs=EPOCHS[name], **own)


def measure(names: list[str], seeds: list[int], chosen: backend.Backend, path: Path) -> None:
    """Measure the rows that the file lacks, and write it after each."""
    found = json.loads(path.read_text()) if path.exists() else {}
    for name in names:
        base = settings_of(name)
        how = {"epochs": EPOCHS[name], "seeds": seeds, "settings": base.as_dict()}
        same = {key: found.get(name, {}).get(key) for key in how} == how
        accuracies = found[name]["validation_accuracy"] if same else {}
        for what, changes in CHANGES[name].items():
            if what in accuracies:
                continue
            runs = [
                training.train(
                    base.changed(**(changes | {"seed": seed})), digits_for(name, seed), chosen
                ).results
                for seed in seeds
            ]
            accuracies[what] = [run["validation_accuracy"] for run in runs]
            print(name, what, accuracies[what], flush=True)
            found[name] = {**how, "validation_accuracy": accuracies}
            path.write_text(json.dumps(found, indent=2) + "\n")


def table(found: dict[str, Any]) -> str:
    """All rows as Markdown, a table for each recipe."""
    rows = []
    for name, figures in found.items():
        accuracies, count = figures["validation_accuracy"], len(figures["seeds"])
        first = statistics.median(accuracies["as it is"])
        images = "59,000 images, 100 of them with labels" if name == "few" else "50,000 images"
        rows += [
            f"\n`{name}`, {figures['epochs']} epochs of {images}, "
            + (f"median of {count} seeds:\n" if count > 1 else "one seed:\n"),
            "| change | validation accuracy | difference | range |",
            "|---|---|---|---|",
        ]
        for what, values in accuracies.items():
            median = statistics.median(values)
            rows.append(
                f"| {what} | {median:.2%} | {100 * (median - first):+.2f} | {min(values):.2%} to "
                f"{max(values):.2%} |"
            )
    return "\n".join(rows).strip() + "\n"


def main() -> None:
    """Measure, and write the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--recipes",
        nargs="+",
        default=list(CHANGES),
        choices=list(CHANGES),
        help="recipes to measure again (all)",
    )
    parser.add_argument(
        "--seeds", nargs="+", type=int, default=[0, 1, 2], help="one run for each (0 1 2)"
    )
    parser.add_argument("--backend", help="numpy, cupy, cupy:1 or auto")
    arguments = parser.parse_args()
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / "ablation.json"
    measure(arguments.recipes, arguments.seeds, backend.select(arguments.backend), path)
    text = table(json.loads(path.read_text()))
    path.with_suffix(".md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
