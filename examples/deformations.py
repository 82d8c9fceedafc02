"""What a network sees when every image is deformed anew each epoch.

Run:  python examples/deformations.py [--preset ciresan] [--out deformations.png]
"""

import argparse
from pathlib import Path

import mnistgpu
from mnistgpu import errors
from mnistgpu.maths import augment
from mnistgpu.reports import plots, study_plots

errors.said_in_one_sentence()
parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--preset", choices=list(augment.PRESETS), default="strong")
parser.add_argument("--out", type=Path, default=Path("deformations.png"))
arguments = parser.parse_args()

settings = mnistgpu.Settings().changed(**augment.preset(arguments.preset))
figure = study_plots.deformations(mnistgpu.load_data().train.images[:5], settings, (28, 28))
plots.save(figure, arguments.out)
print(arguments.out)
