"""The half that measures the package. It was written before the code that it measures; leave it."""

from functools import cache

import cv2
import numpy as np
from helpers.mnist import read_idx

from made_pictures import camera, glyphs
from made_pictures.half import Half, pick

# Each digit as strokes of straight lines (x, y, x, y) and arcs (x, y of the middle, half the width,
# half the height, degrees from and to, clockwise from the right). Each digit has one way or more.
WAYS = {
    "0": [[[(0.5, 0.5, 0.32, 0.45, -90, 270)]], [[(0.5, 0.5, 0.4, 0.45, -60, 300)]]],
    "1": [
        [[(0.5, 0.05, 0.5, 0.95)]],
        [[(0.32, 0.28, 0.52, 0.05), (0.52, 0.05, 0.52, 0.95)]],
        [[(0.32, 0.26, 0.52, 0.05), (0.52, 0.05, 0.52, 0.95)], [(0.3, 0.95, 0.74, 0.95)]],
    ],
    "2": [
        [
            [
                (0.5, 0.3, 0.28, 0.25, -170, 30),
                (0.74, 0.43, 0.2, 0.95),
                (0.2, 0.95, 0.82, 0.95),
            ]
        ]
    ],
    "3": [
        [[(0.45, 0.28, 0.27, 0.23, -150, 90), (0.45, 0.73, 0.31, 0.22, -90, 150)]],
        [
            [
                (0.22, 0.07, 0.74, 0.07),
                (0.74, 0.07, 0.45, 0.42),
                (0.45, 0.69, 0.31, 0.27, -90, 150),
            ]
        ],
    ],
    "4": [
        [
            [(0.36, 0.05, 0.2, 0.6), (0.2, 0.6, 0.85, 0.6)],
            [(0.68, 0.25, 0.66, 0.95)],
        ],
        [[(0.65, 0.95, 0.65, 0.05), (0.65, 0.05, 0.18, 0.65), (0.18, 0.65, 0.85, 0.65)]],
    ],
    "5": [
        [
            [(0.32, 0.07, 0.28, 0.45), (0.48, 0.66, 0.3, 0.29, -135, 140)],
            [(0.32, 0.07, 0.76, 0.07)],
        ]
    ],
    "6": [[[(0.68, 0.6, 0.44, 0.55, -95, -180), (0.5, 0.7, 0.27, 0.24, -180, -540)]]],
    "7": [
        [[(0.2, 0.08, 0.8, 0.08), (0.8, 0.08, 0.42, 0.95)]],
        [[(0.2, 0.08, 0.8, 0.08), (0.8, 0.08, 0.42, 0.95)], [(0.4, 0.5, 0.78, 0.5)]],
    ],
    "8": [[[(0.5, 0.27, 0.24, 0.21, 90, -270), (0.5, 0.72, 0.29, 0.24, -90, 270)]]],
    "9": [
        [[(0.48, 0.3, 0.26, 0.24, 0, -360), (0.74, 0.3, 0.68, 0.95)]],
        [
            [
                (0.48, 0.3, 0.26, 0.24, 0, -360),
                (0.74, 0.3, 0.74, 0.62),
                (0.46, 0.62, 0.28, 0.32, 0, 110),
            ]
        ],
    ],
}  # fmt: skip


class Nib:
    """A hand with a flat nib: its line is wider in one direction, and wider where it presses."""

    def __init__(self, rng: np.random.Generator):
        self.width = np.exp(rng.uniform(np.log(0.025), np.log(0.13)))
        self.flat, self.turn = rng.uniform(0.5, 1.0), rng.uniform(0, 180)
        self.slant, self.aspect = rng.uniform(-0.1, 0.25), rng.uniform(0.7, 1.1)
        self.ways = rng.integers(0, 6, 10)

    def __call__(self, rng: np.random.Generator, char: str, height: int) -> np.ndarray:
        ways = WAYS[char]
        strokes = ways[self.ways[int(char)] % len(ways)]
        return self.drawn(rng, [stroke_points(stroke) for stroke in strokes], height)

    def drawn(self, rng: np.random.Generator, strokes, height: int) -> np.ndarray:
        """Strokes of points (n, 2) in 0 to 1 as ink."""
        side = max(160, 2 * height)
        canvas = np.zeros((2 * side, 2 * side), np.uint8)
        for points in strokes:
            along = np.linspace(0.0, 1.0, len(points))
            tremor = [smooth_noise(rng, along) * 0.03 for _ in range(2)]
            x = (points[:, 0] - 0.5) * self.aspect + self.slant * (0.5 - points[:, 1])
            x, y = x + 0.5 + tremor[0], points[:, 1] + tremor[1]
            pressure = 1.0 + 0.25 * smooth_noise(rng, along)
            for px, py, press in zip(x, y, pressure, strict=True):
                radius = max(1.0, self.width * side / 2 * press)
                middle = (round((px * side + side / 2) * 16), round((py * side + side / 2) * 16))
                axes = (round(radius * 16), round(max(1.0, radius * self.flat) * 16))
                cv2.ellipse(canvas, middle, axes, self.turn, 0, 360, 255, -1, cv2.LINE_AA, 4)
        return glyphs.of_height(canvas.astype(np.float32) / 255.0, height)


def smooth_noise(rng: np.random.Generator, along: np.ndarray) -> np.ndarray:
    """A slow wave (n,) of strength one along a stroke."""
    turns, start = rng.uniform(0.3, 1.2, 2), rng.uniform(0, 2 * np.pi, 2)
    waves = np.sin(2 * np.pi * turns[:, None] * along + start[:, None])
    return waves.mean(axis=0)


def stroke_points(stroke) -> np.ndarray:
    """Points (n, 2), densely along lines and arcs."""
    pieces = []
    for part in stroke:
        t = np.linspace(0.0, 1.0, 160)
        if len(part) == 4:
            x, y, to_x, to_y = part
            pieces.append(np.stack([x + (to_x - x) * t, y + (to_y - y) * t], axis=1))
        else:
            x, y, wide, high, start, end = part
            turn = np.deg2rad(start + (end - start) * t)
            pieces.append(np.stack([x + wide * np.cos(turn), y + high * np.sin(turn)], axis=1))
    return np.vstack(pieces)


def scribble(rng: np.random.Generator, height: int) -> np.ndarray:
    """Loops that drift sideways, or a zigzag."""
    t = np.linspace(0.0, 1.0, 500)
    if rng.random() < 0.5:
        turns = rng.integers(3, 8)
        x = 0.15 + 0.7 * t + rng.uniform(0.1, 0.25) * np.cos(2 * np.pi * turns * t)
        y = 0.5 + rng.uniform(0.2, 0.4) * np.sin(2 * np.pi * turns * t)
    else:
        corners = rng.uniform(0.0, 1.0, (int(rng.integers(6, 15)), 2))
        place = np.linspace(0.0, 1.0, len(corners))
        x, y = (np.interp(t, place, corners[:, axis]) for axis in (0, 1))
    return Nib(rng).drawn(rng, [np.stack([x, y], axis=1)], height)


@cache
def fonts() -> list[glyphs.Font]:
    """Computer Modern and STIX, which come with Matplotlib, and handwriting and print of Debian's
    packages fonts-breip, fonts-comic-neue, fonts-crosextra-carlito, fonts-rufscript and
    fonts-sil-andika."""
    return [
        *glyphs.fonts_of_matplotlib("cmb10", "cmr10", "cmss10", "cmtt10", "STIXGeneral"),
        *glyphs.fonts_of_debian("Breip", "breip", "ComicNeue", "Carlito", "Rufscript", "Andika"),
    ]


@cache
def test_images() -> tuple[np.ndarray, np.ndarray]:
    """MNIST's 10,000 test images."""
    images = read_idx("t10k-images-idx3-ubyte", 10_000).reshape(-1, 28, 28)
    return images, read_idx("t10k-labels-idx1-ubyte", 10_000)


def data_set(rng: np.random.Generator) -> glyphs.Enlarged:
    """MNIST's test images or, one time in three, the 8x8 digits of scikit-learn."""
    if rng.random() < 1 / 3:
        return small_digits()
    images, labels = test_images()
    return glyphs.Enlarged(images / np.float32(255.0), labels, 0.45)


@cache
def small_digits() -> glyphs.Enlarged:
    """The 1,797 digits of 8x8 pixels that come with scikit-learn."""
    from sklearn.datasets import load_digits

    found = load_digits()
    return glyphs.Enlarged((found.images / 16.0).astype(np.float32), found.target, 0.5, 0.35)


@cache
def half() -> Half:
    images, labels = test_images()
    return Half(
        name="judging",
        pens=Nib,
        fonts=lambda rng: pick(rng, fonts()),
        images=data_set,
        mnist=images,
        mnist_labels=labels,
        scribble=scribble,
        papers=((252, 252, 252), (229, 231, 225), (214, 196, 160), (222, 238, 246)),
        inks=((25, 25, 25), (0, 60, 120), (30, 110, 60), (90, 85, 85), (120, 30, 110)),
        rules=((175, 205, 190), (195, 195, 205), (160, 185, 215), (215, 175, 170)),
        tables=(
            lambda rng, h, w: camera.cloth(rng, h, w, (95, 25, 35), 0.10),
            lambda rng, h, w: camera.cloth(rng, h, w, (52, 70, 60), 0.08),
            lambda rng, h, w: camera.plain(rng, h, w, (120, 118, 115), 0.0),
            lambda rng, h, w: camera.wood(rng, h, w, (110, 70, 50), 0.07),
        ),
        lights=(
            lambda rng, h, w: lamp(rng, h, w, 0.35),
            lambda rng, h, w: lamp(rng, h, w, 0.2) * camera.slope(rng, h, w, 0.15),
        ),
        shadows=(
            lambda rng, h, w: camera.blob(rng, h, w, 0.3, 0.02) * lamp(rng, h, w, 0.15),
            lambda rng, h, w: camera.blob(rng, h, w, 0.4, 0.04),
        ),
    )


def lamp(rng: np.random.Generator, height: int, width: int, strength: float) -> np.ndarray:
    """The light of a lamp above one place of the table."""
    y, x = camera.grid(height, width)
    far = (x - rng.uniform(-0.5, 0.5)) ** 2 + (y - rng.uniform(-0.5, 0.5)) ** 2
    return 1.02 - strength + strength * np.exp(-far / 0.3)
