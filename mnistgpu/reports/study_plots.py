"""Figures of parts of a recipe: the search for a learning rate, and deformed digits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from mnistgpu import counter_rng
from mnistgpu.errors import UsageError
from mnistgpu.maths import augment
from mnistgpu.reports.page import BLUE, FULL, GREY, HEAD, PAGE, VERMILLION, alone, mosaic, panel
from mnistgpu.settings import Settings

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COPIES = 12


def learning_rates(rates: Sequence[float], losses: Sequence[float], suggestion: float) -> Figure:
    """The smoothed loss at each learning rate tried, and the rate suggested."""
    return alone(_draw_learning_rates, 3.6, PAGE, rates, losses, suggestion)


def deformations(images: np.ndarray, settings: Settings, image_shape: tuple[int, int]) -> Figure:
    """Each of images (k, pixels) uint8 beside copies deformed as the settings say, a row for each.

    Raises UsageError if the settings deform no images.
    """
    if not settings.deformation.is_deforming:
        raise UsageError(
            "these settings deform no images; add --rotation or --elastic, or use --recipe strong"
        )
    alone_each = replace(settings.deformation, images_per_map=1)
    seed = counter_rng.key(settings.seed, like=images)
    keys = [counter_rng.fold_in(seed, counter_rng.DEFORM, i) for i in range(COPIES)]
    copies = [
        augment.deform(images, augment.keys_of(key), alone_each, image_shape).T for key in keys
    ]
    deformed = np.stack(copies, axis=1)
    height, width = image_shape
    tile = FULL / (deformed.shape[1] + 1) * 1.02 * height / width
    section = HEAD + len(images) * tile + 0.15
    return alone(_draw_deformations, section, PAGE, images, deformed, image_shape)


def _draw_learning_rates(
    figure: Figure,
    left: float,
    top: float,
    rates: Sequence[float],
    losses: Sequence[float],
    suggestion: float,
) -> None:
    note = f"suggested {suggestion:.2g}: a third of the rate where the loss is lowest"
    ax = panel(figure, left, top, FULL, 3.6 - HEAD - 0.6, "Loss as the learning rate grows", note)
    ax.plot(rates, losses, color=BLUE, linewidth=1.8)
    ax.axvline(suggestion, color=VERMILLION, linewidth=1.5, linestyle=(0, (4, 2)))
    ax.set_xscale("log")
    ax.xaxis.set_major_formatter("{x:g}")
    ax.set_ylim(0.0, 1.05 * max(losses[0], min(losses) * 2))
    ax.set(xlabel="learning rate (alpha)", ylabel="training loss, smoothed")


def _draw_deformations(
    figure: Figure,
    left: float,
    top: float,
    images: np.ndarray,
    deformed: np.ndarray,
    image_shape: tuple[int, int],
) -> None:
    copies, height = deformed.shape[1], figure.get_figheight() - top - HEAD - 0.1
    ax = panel(
        figure, left, top, FULL, height, "Deformed digits", "the first of each row is the original"
    )
    ax.set_axis_off()
    rows = np.concatenate([images[:, None, :], deformed], axis=1)
    tiles = rows.reshape(-1, *image_shape)
    ax.imshow(mosaic(tiles, copies + 1, 1, 1), cmap="Greys", vmin=-20, vmax=255)
    edge = image_shape[1] + 0.0
    ax.axvline(edge, color=GREY, linewidth=1.0)
