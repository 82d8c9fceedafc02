"""A run in other people's tools: loggers for CSV and TensorBoard, each a callback.

Run:  python examples/loggers.py [--out logs] [--epochs 2] [--tensorboard]

A logger is a class with the methods that the training calls: see docs/callbacks.md. With
--tensorboard (pip install tensorboard) look at the result by: tensorboard --logdir logs
"""

import argparse
import csv
from dataclasses import asdict
from pathlib import Path

import mnistgpu
from mnistgpu import errors


class CsvLogger(mnistgpu.Callback):
    """Writes each row of history as a line, at once, so that another program can follow the run."""

    def __init__(self, path):
        self.path = path

    def begin(self, trainer, progress, stop):
        self.file = self.path.open("x", newline="")
        self.writer = None

    def row(self, row, theta):
        values = asdict(row)
        if self.writer is None:
            self.writer = csv.DictWriter(self.file, list(values))
            self.writer.writeheader()
        self.writer.writerow(values)
        self.file.flush()

    def end(self, outcome):
        self.file.close()

    def interrupted(self, trainer, progress):
        self.file.close()


class TensorBoardLogger(mnistgpu.Callback):
    """Writes curves, and those of the layers, for TensorBoard."""

    def __init__(self, folder, statistics):
        from tensorboard.summary import Writer

        self.writer, self.statistics = Writer(str(folder)), statistics

    def row(self, row, theta):
        step = row.iteration
        for name, value in asdict(row).items():
            self.writer.add_scalar(name.replace("_", "/", 1), value, step)
        for layer in self.statistics.rows:
            if layer.iteration == step:
                for name in ("weight_norm", "update_ratio", "dead_units"):
                    self.writer.add_scalar(f"{name}/{layer.layer}", getattr(layer, name), step)

    def end(self, outcome):
        self.writer.close()

    def interrupted(self, trainer, progress):
        self.writer.close()


parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--out", type=Path, default=Path("logs"))
parser.add_argument("--epochs", type=int, default=2)
parser.add_argument("--tensorboard", action="store_true")
arguments = parser.parse_args()
errors.said_in_one_sentence()

if not arguments.out.is_dir() and arguments.out.exists():
    parser.error(f"--out {arguments.out}: is a file; name a folder")
if (arguments.out / "history.csv").exists():  # a run has one, too
    parser.error(f"--out {arguments.out}: history.csv is there already; name another folder")
arguments.out.mkdir(parents=True, exist_ok=True)
statistics = mnistgpu.LayerStatistics()  # called before the loggers that read it
callbacks = [statistics, CsvLogger(arguments.out / "history.csv")]
if arguments.tensorboard:
    callbacks.append(TensorBoardLogger(arguments.out, statistics))
run = mnistgpu.fit(recipe="fast", epochs=arguments.epochs, validation=1000, callbacks=callbacks)

print(f"test accuracy {run.test_accuracy:.4f}; the curves are in {arguments.out}")
for layer in statistics.rows[-len(run.settings.sizes) + 1 :]:
    print(
        f"layer {layer.layer}: norm {layer.weight_norm:.2f}, update/weight "
        f"{layer.update_ratio:.1e} a step, {layer.dead_units} of {layer.units} units dead"
    )
