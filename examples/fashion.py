"""Any set in MNIST's format: Fashion-MNIST, KMNIST, or your own folder of IDX files.

Run:  python examples/fashion.py FOLDER [--epochs 5]

FOLDER holds train-images-idx3-ubyte and its three companions, plain or as .gz. On Debian,
`apt-get install dataset-fashion-mnist` puts Fashion-MNIST in /usr/share/datasets/fashion-mnist.
"""

import argparse

import mnistgpu
from mnistgpu import errors


class PrintRows(mnistgpu.Callback):
    """Prints a line for every row of history."""

    def row(self, row, theta):
        print(
            f"epoch {row.epoch:3.0f}  loss {row.train_loss:.4f}  "
            f"validation accuracy {row.validation_accuracy:.4f}"
        )


parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("folder")
parser.add_argument("--epochs", type=int, default=5)
arguments = parser.parse_args()
errors.said_in_one_sentence()

dataset = mnistgpu.load_data(arguments.folder)
height, width = dataset.train.image_shape
run = mnistgpu.fit(
    dataset,
    layers=(height * width, 128, 10),
    init="he",
    batch_size=128,
    alpha=0.1,
    epochs=arguments.epochs,
    progress=False,
    callbacks=[PrintRows()],
)
if run.test_accuracy is not None:
    print(f"test accuracy {run.test_accuracy:.4f}")
