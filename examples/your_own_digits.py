"""A folder of pictures to a trained network: a sub-folder a class, or names as in 7_0001.png.

Run:  python examples/your_own_digits.py FOLDER [--epochs 20] [--out runs/mine]

FOLDER may hold train/ and test/. Small pictures of one size are used as they are; others, such as
photographs, are prepared: each digit is found, scaled and centred. The classes may be letters.
"""

import argparse

import mnistgpu
from mnistgpu import errors

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("folder")
parser.add_argument("--epochs", type=int, default=20)
parser.add_argument("--out", default="runs/mine")
arguments = parser.parse_args()
errors.said_in_one_sentence()

data = mnistgpu.load_data(arguments.folder)
classes = data.train.classes or range(10)
layers = (data.train.images.shape[1], 64, len(classes))
network = {"layers": layers, "init": "he", "batch_size": min(32, len(data.train) // 2)}
run = mnistgpu.fit(data, **network, alpha=0.1, epochs=arguments.epochs, out=arguments.out)

right = mnistgpu.evaluate(run, report="report.html", robustness=False)
print(f"{right.right} of {len(right.digits)} right; the mistakes are in report.html")
answer = run.model.classes[run.model.predict_proba(data.train.images[:1]).argmax()]
print(f"the first picture is a {answer}; the next: mnistgpu predict {arguments.out} PICTURE")
