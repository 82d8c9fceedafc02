"""Any set in MNIST's format: Fashion-MNIST, KMNIST, or your own folder of IDX files.

Run:  python examples/fashion.py FOLDER [--epochs 5]

FOLDER holds train-images-idx3-ubyte and its three companions, plain or as .gz. On Debian,
`apt-get install dataset-fashion-mnist` puts Fashion-MNIST in /usr/share/datasets/fashion-mnist.
"""

import argparse
from pathlib import Path

from mnistgpu import backend, data, errors
from mnistgpu.runs import training
from mnistgpu.runs.callbacks import Callback
from mnistgpu.settings import Settings


class PrintRows(Callback):
    """Prints a line for every row of history."""

    def row(self, row, theta):
        print(
            f"epoch {row.epoch:3.0f}  loss {row.train_loss:.4f}  "
            f"validation accuracy {row.validation_accuracy:.4f}"
        )


parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("folder", type=Path)
parser.add_argument("--epochs", type=int, default=5)
arguments = parser.parse_args()
errors.said_in_one_sentence()

dataset = data.load(arguments.folder)
height, width = dataset.train.image_shape
settings = Settings().changed(
    layers=f"{height * width}-128-10",
    init="he",
    batch_size=128,
    learning_rate=0.1,
    epochs=arguments.epochs,
    validation=min(1000, len(dataset.train) // 10),
)
outcome = training.train(settings, dataset, backend.select(), [PrintRows()])
if outcome.results["test_accuracy"] is not None:
    print(f"test accuracy {outcome.results['test_accuracy']:.4f}")
