"""What a run needs of a device's memory, and what to say where there is not enough.

A gradient is summed over shards, so that a batch may be larger than the memory; what must fit are
the data, the parameters and one shard. The estimates lie above what a step really takes.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar, cast

from mnistgpu import network
from mnistgpu.backend import Backend
from mnistgpu.data import Dataset
from mnistgpu.data.mapped import MappedImages
from mnistgpu.data.splitting import number_of
from mnistgpu.data.windows import LENGTH
from mnistgpu.engine import inference
from mnistgpu.engine.gradient import rows_of_a_shard
from mnistgpu.engine.products.cublas import WORKSPACE_BYTES
from mnistgpu.errors import OutOfMemoryError
from mnistgpu.maths import optimizers
from mnistgpu.maths.denoising import decoder_count
from mnistgpu.settings import Settings
from mnistgpu.storage import system

# Numbers that a decoder keeps for each unit and image until it goes back, and makes there
OF_COMBINING = 12
FAILED_ALLOCATIONS = ("cudaErrorMemoryAllocation", "CUBLAS_STATUS_ALLOC_FAILED")

Train = TypeVar("Train", bound=Callable[..., Any])


def explained(train: Train) -> Train:
    """train(settings, dataset, backend, ...), with a MemoryError that says what would fit."""

    @functools.wraps(train)
    def explaining(
        settings: Settings, dataset: Dataset, backend: Backend, *rest: Any, **more: Any
    ) -> Any:
        free = free_bytes(backend)
        try:
            return train(settings, dataset, backend, *rest, **more)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            images = len(dataset.train) - number_of(settings.validation, len(dataset.train))
            if isinstance(dataset.train.images, MappedImages) and backend.name == "numpy":
                images = min(images, 2 * LENGTH)  # which are in memory together
            if dataset.train.unlabeled is not None:
                images += len(dataset.train.unlabeled)
            message = sentence(settings, images, free, backend, dataset.train.images.itemsize)
        raise OutOfMemoryError(message)

    return cast(Train, explaining)


def is_out_of_memory(error: BaseException) -> bool:
    """NumPy and CuPy raise a MemoryError; CUDA and cuBLAS name the status of a failed call."""
    text = str(error)
    return isinstance(error, MemoryError) or any(name in text for name in FAILED_ALLOCATIONS)


def sentence(
    settings: Settings, images: int, free: int | None, backend: Backend, pixel: int = 1
) -> str:
    """What did not fit where, and the largest batch size, a power of 2, that would."""
    batch = settings.batch_size or images
    device = backend.describe()["device"]
    there = f"; {free / 2**30:.1f} GiB were free when the run began" if free is not None else ""
    start = f"out of memory on {device}{there}"
    smaller = [2**i for i in range(31) if 2**i < batch]
    fits = [n for n in smaller if free is None or needed(settings, images, n, pixel) <= free]
    if settings.graph and free is not None and not fits:
        if needed(replace(settings, graph=False), images, batch, pixel) <= free:
            return f"{start}: replayed steps need memory of their own; leave --graph out"
    if not fits:
        return (
            f"{start}: {settings.layers} and its {images:,} images do not fit at any batch size; "
            "stop other programs on the device, choose smaller --layers, or another --backend"
        )
    # without a figure for the free memory: half of what was tried
    return f"{start}: {batch:,} images a step were too many; --batch-size {fits[-1]} would fit"


def free_bytes(backend: Backend) -> int | None:
    """The memory that is not in use, or that CuPy holds for later; None if it is not known."""
    if backend.name == "cupy":
        cupy = backend.xp
        unused = cupy.get_default_memory_pool().free_bytes()
        return int(cupy.cuda.Device(backend.device).mem_info[0] + unused)
    return system.free_memory()


def needed(settings: Settings, images: int, batch_size: int, pixel: int = 1) -> int:
    """Bytes for the data, parameters, steps of so many images and evaluations, on a GPU.

    pixel: bytes of each; features have more than one.
    """
    rows = min(batch_size, rows_of_a_shard(settings, batch_size, on_cpu=False))
    sizes_of_shards = 2 if rows < images else 1  # the buffers of full and of last ones stay
    steps = sizes_of_shards * rows * bytes_of_an_image(settings) + of_comparison(settings)
    if settings.graph:  # the temporary arrays of the captured steps stay, too
        steps += rows * bytes_of_an_image(settings)
    if settings.graph or settings.precision == "bf16":
        steps += WORKSPACE_BYTES
    wider = (pixel - 1) * settings.sizes[0] * (3 * images + 2 * sizes_of_shards * rows)
    return fixed(settings, images) + steps + of_evaluation(settings, images) + wider


def of_comparison(settings: Settings) -> int:
    """Bytes of the vectors that are copied when kernels are compared with the plain form."""
    vectors = 5 * (1 + remembered(settings)) + 2  # five times all of them, and two temporary ones
    return vectors * parameters(settings) * item_bytes(settings)


def of_evaluation(settings: Settings, images: int) -> int:
    """Bytes of the network's answers to its images: these, and the arrays of a shard of them."""
    count = min(images, inference.AT_ONCE)
    pixels, classes, numbers = settings.sizes[0], settings.sizes[-1], sum(settings.sizes)
    rows = min(count, inference.rows_of_a_shard(numbers, on_cpu=False))
    results = count * (pixels + 16 + 6 * classes * item_bytes(settings))
    return results + 2 * rows * numbers * item_bytes(settings)


def fixed(settings: Settings, images: int) -> int:
    """Bytes that do not depend on the batch: images, labels, an epoch's order, parameters."""
    pixels = settings.sizes[0]
    if settings.min_ink > 0:  # while the pixels that stay are copied
        pixels *= 2
    vectors = 5 + remembered(settings)  # theta, gradient, addend, two temporary ones
    vectors += settings.is_exact  # the rounded weights
    return images * (pixels + 40) + vectors * parameters(settings) * item_bytes(settings)


def parameters(settings: Settings) -> int:
    """How many numbers a run learns, on all pixels."""
    return network.parameter_count(settings.sizes) + decoder_count(
        settings.sizes, settings.denoising
    )


def remembered(settings: Settings) -> int:
    """How many vectors optimiser and average remember."""
    return len(optimizers.OPTIMIZERS[settings.optimizer].remembers) + (settings.ema is not None)


def bytes_of_an_image(settings: Settings) -> int:
    """Bytes of a step for each image of a shard: the pixels, and what stands in every layer."""
    random_words = 24  # bytes of uint64 words and their parts, while a random number is made
    pixels = 2 + item_bytes(settings)
    if settings.deformation.is_deforming:
        pixels += 40
    if settings.input_noise > 0 or settings.input_dropout > 0:
        pixels += random_words
    if settings.adversarial > 0:  # the direction, the changed image, and what makes them
        pixels += 3 * item_bytes(settings) + random_words
    if settings.denoising > 0:  # X without noise, U, D and what the combination keeps
        pixels += OF_COMBINING * item_bytes(settings)
    unit = 3 * item_bytes(settings)  # Z, dZ and a temporary one
    if settings.batch_norm:
        unit += 2 * item_bytes(settings)
    if settings.denoising > 0:
        unit += OF_COMBINING * item_bytes(settings)
    if settings.teacher is not None:  # the layers of a member, if it is of the same size
        unit += 2 * item_bytes(settings)
    if settings.activation != "relu":
        unit += 5 * item_bytes(settings)
    if settings.hidden_dropout > 0:
        unit += item_bytes(settings)
    if settings.hidden_dropout > 0 or settings.hidden_noise > 0:
        unit += random_words
    classes = 3 * item_bytes(settings)
    n, *units = settings.sizes
    others = 64  # indices, labels and sums
    return n * pixels + sum(units) * unit + units[-1] * classes + others


def item_bytes(settings: Settings) -> int:
    """Bytes of a number of the arithmetic."""
    return 8 if settings.dtype == "float64" else 4
