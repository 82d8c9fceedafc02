"""Folders of pictures as people have them, made from rows of pixels (N, 784)."""

import numpy as np
from PIL import Image

from helpers.pictures import drawing


def write_classes(folder, images, names, ending=".png"):
    """A sub-folder for each class, with its pictures numbered in order; the paths in order."""
    paths = []
    for i, (image, name) in enumerate(zip(images, names, strict=True)):
        path = folder / str(name) / f"{i:05}{ending}"
        path.parent.mkdir(parents=True, exist_ok=True)
        save(image, path)
        paths.append(path)
    return paths


def write_flat(folder, images, names, ending=".png"):
    """All pictures in one folder, whose names begin with the class: 7_00001.png."""
    folder.mkdir(parents=True, exist_ok=True)
    for i, (image, name) in enumerate(zip(images, names, strict=True)):
        save(image, folder / f"{name}_{i:05}{ending}")
    return folder


def save(image, path):
    """An image (784,) or (H, W) as a picture file."""
    Image.fromarray(image.reshape(28, 28) if image.ndim == 1 else image).save(path)


def write_drawings(folder, count, black_on_white=True):
    """Large drawings of each digit by hand, as a scanner or a paint program has them."""
    for digit in range(10):
        (folder / str(digit)).mkdir(parents=True, exist_ok=True)
        for i in range(count):
            levels = drawing(digit, side=140 + 20 * i, width=0.07 + 0.01 * i)
            levels = np.pad(levels, 20 + 7 * i)
            save(255 - levels if black_on_white else levels, folder / str(digit) / f"{i}.png")
    return folder
