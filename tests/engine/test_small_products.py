"""Products in pieces: the same numbers as the whole, and pieces as small as the kernels need."""

import os
import sys

import numpy as np
import pytest
from helpers import processes

from mnistgpu.engine.products import precision as products
from mnistgpu.engine.products import small
from mnistgpu.engine.trainer import Trainer
from mnistgpu.settings import Settings

SHAPES = [
    (10, 784, 1000), (10, 784, 128), (10, 784, 97), (10, 784, 1), (12, 784, 96), (128, 784, 32),
    (10, 128, 512), (16, 1000, 784), (10, 1000, 784), (10, 997, 784), (37, 784, 300), (1, 10, 1000),
    (64, 784, 60), (65, 784, 600), (784, 10, 128), (128, 32, 784), (3, 2000, 2000), (1, 1, 1),
]  # fmt: skip


def in_rows(array):
    return np.ascontiguousarray(array)


def in_columns(array):
    return np.asfortranarray(array)


@pytest.mark.parametrize("order_out", [in_rows, in_columns])
@pytest.mark.parametrize("order_b", [in_rows, in_columns])
@pytest.mark.parametrize("order_a", [in_rows, in_columns])
@pytest.mark.parametrize(("m", "k", "n"), SHAPES)
def test_pieces_make_the_whole(m, k, n, order_a, order_b, order_out):
    random = np.random.default_rng(m + k + n)
    A = order_a(random.integers(-4, 5, (m, k)).astype(np.float32))
    B = order_b(random.integers(-4, 5, (k, n)).astype(np.float32))
    out = order_out(np.full((m, n), np.nan, np.float32))
    assert small.matmul(A, B, out=out) is out
    # sums of so small whole numbers are exact in float32, in any order
    np.testing.assert_array_equal(out, A.astype(np.float64) @ B.astype(np.float64))


def test_only_the_part_that_is_asked_for_is_written():
    random = np.random.default_rng(0)
    A, B = random.random((10, 784), np.float32), random.random((500, 784), np.float32)[100:340].T
    room = np.full((12, 400), 7, np.float32)
    small.matmul(A, B, out=room[1:11, 80:320])
    np.testing.assert_allclose(room[1:11, 80:320], A @ B, rtol=1e-4)
    room[1:11, 80:320] = 7
    assert (room == 7).all()


@pytest.mark.parametrize("transposed", [True, False])
def test_every_piece_is_small_enough_and_none_is_left_out(transposed):
    cut = 0
    for m in (1, 3, 10, 12, 16, 32, 50, 64, 128, 512):
        for k in (10, 32, 97, 128, 500, 784, 1000):
            for n in (1, 10, 32, 96, 128, 512, 784, 1000, 1024):
                how, rows, columns = small.plan(m, k, n, transposed)
                cut += bool(how)
                if how == "blocks":
                    assert m % rows == n % columns == 0
                    assert rows * columns * k <= small.MULTIPLY_ADDS
                    assert not transposed or rows * columns <= small.ENTRIES
                elif how == "sum":
                    assert k % rows == 0
                    assert m * n * rows <= small.MULTIPLY_ADDS
    assert cut > 50


def test_products_of_the_full_batch_are_cut(monkeypatch):
    """What pays most: W_1 X and dZ_1 X^T of 784-10-10 in shards of 1,000 images."""
    matmul, stacks = np.matmul, []

    def counted(A, B, out=None):
        stacks.append((A.shape, B.shape))
        return matmul(A, B, out=out)

    monkeypatch.setattr(np, "matmul", counted)
    small.plan.cache_clear()
    W, X, dZ = (np.ones(shape, np.float32) for shape in ((10, 784), (1000, 784), (10, 1000)))
    small.matmul(W, X.T, out=np.empty((10, 1000), np.float32))
    small.matmul(dZ, X, out=np.empty((10, 784), np.float32))
    assert stacks == [((1, 1, 10, 784), (10, 784, 100)), ((8, 10, 125), (8, 125, 784))]
    few, wide = np.ones((100, 2000), np.float32), np.ones((10, 2000), np.float32)
    small.matmul(wide, few.T, out=np.empty((10, 100), np.float32))
    assert stacks[2:] == [((1, 1, 10, 2000), (2, 2000, 50))]
    assert small.plan(10, 784, 1000, True) == ("blocks", 10, 100)
    assert small.plan(10, 1000, 784, False) == ("sum", 125, 0)
    assert small.plan(1024, 784, 256, True) == ("", 0, 0)


@pytest.mark.parametrize("layers", ["784-10-10", "784-128-10"])
@pytest.mark.parametrize("batch", [None, 32])
def test_training_in_pieces_is_training(digits, monkeypatch, layers, batch):
    from mnistgpu import data
    from mnistgpu.backend import NUMPY

    train = data.Digits(*digits, "the first digits")
    settings = Settings(layers=layers, batch_size=batch, iterations=100)
    thetas = []
    for pays in (False, True):
        monkeypatch.setattr(small, "pays", lambda pays=pays: pays)
        trainer = Trainer(settings, train, NUMPY)
        with trainer.engine.running():
            for _ in range(10):
                trainer.step()
        thetas.append(trainer.theta)
    np.testing.assert_allclose(thetas[1], thetas[0], atol=2e-5)


def test_pieces_are_for_processors_that_have_the_kernels(monkeypatch):
    for architecture, expected in (("SkylakeX", True), ("Haswell", False), ("", False)):
        monkeypatch.setattr(small, "blas_architecture", lambda a=architecture: a)
        small.pays.cache_clear()
        assert small.pays() is expected
        chosen = products.matmul_in("float32", np)
        assert chosen is (small.matmul if expected else np.matmul)
        assert products.matmul_in("float64", np) is np.matmul
    monkeypatch.undo()
    small.pays.cache_clear()


OTHERS_FIRST = """
import {first}
from mnistgpu.engine import threads
from mnistgpu.engine.products import small
print(threads.blas_name(), threads.blas_architecture(), small.pays())
"""


def test_the_blas_of_opencv_is_not_that_of_numpy():
    """OpenCV and SciPy load a BLAS of their own, whose kernels say nothing about NumPy's.

    threadpoolctl lists them in the order of a set, which the seed of Python's hashes decides.
    """
    found = [
        processes.run(
            [sys.executable, "-c", OTHERS_FIRST.format(first=first)],
            env=os.environ | {"PYTHONHASHSEED": str(seed)},
        )
        for first, seed in (("numpy", 0), *(("cv2, scipy.linalg", seed) for seed in range(6)))
    ]
    assert {done.stderr for done in found} == {""}
    assert len({done.stdout for done in found}) == 1
