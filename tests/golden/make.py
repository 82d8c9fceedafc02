"""Make the golden pictures again: python tests/golden/make.py, and look at them before a commit."""

import sys
from pathlib import Path

import numpy as np
from PIL import Image

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent.parent)]

from helpers.mnist import read_idx  # noqa: E402
from helpers.pictures import drawing, photograph  # noqa: E402

from mnistgpu.pictures import images  # noqa: E402

test = read_idx("t10k-images-idx3-ubyte", 20)
small = {"size": (450, 600), "share": 0.5}
PICTURES = {
    "photo-7.jpg": photograph(test[0], 0, "blue", **small),
    "photo-2.jpg": photograph(test[1], 1, "pencil", **small),
    "photo-6.jpg": photograph(test[11], 11, "black", **small),
    "ballpoint-5.png": 255 - drawing(5, 400, 0.01),
    "marker-8.png": 255 - drawing(8, 200, 0.14),
}
for name, levels in PICTURES.items():
    Image.fromarray(levels).save(HERE / name, quality=70)
    seen = images.read(HERE / name).reshape(28, 28)
    Image.fromarray(np.asarray(seen)).save(HERE / f"{Path(name).stem}.seen.png")
