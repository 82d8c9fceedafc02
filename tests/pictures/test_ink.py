"""Ink is separated from paper: wide shadows are paper, pale and wide strokes are ink."""

import numpy as np
import pytest
from helpers.pictures import drawing

from mnistgpu.pictures.ink import ink_of

HEIGHT, WIDTH = 480, 640


def page(light, *strokes):
    """Paper of level 230 in this light (H, W), with strokes (H, W), shares of it that are lost.

    The light falls from one side to the other, as by a window.
    """
    levels = 230.0 * light * np.linspace(0.85, 1.05, WIDTH)
    for stroke in strokes:
        levels = levels * (1.0 - stroke)
    noise = np.random.default_rng(0).normal(0.0, 1.5, levels.shape)
    return np.clip(levels + noise, 0, 255).astype(np.uint8)


def digit(width=0.07, share=0.8):
    stroke = np.zeros((HEIGHT, WIDTH))
    stroke[130:350, 210:430] = share * drawing(5, 220, width) / 255.0
    return stroke


def band(at, wide, lean, strength=0.35, soft=4.0):
    """A shadow whose edges are soft over about so many pixels."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    away = np.abs(x + lean * y - at) - wide / 2
    return 1.0 - strength / (1.0 + np.exp(np.clip(away / soft, -50, 50)))


@pytest.mark.parametrize("wide", [110, 160, 220])
@pytest.mark.parametrize(("at", "lean"), [(120, 0.0), (330, 0.0), (30, 0.4), (700, 0.5)])
def test_a_shadow_wider_than_a_stroke_is_paper(wide, at, lean):
    ink = ink_of(page(band(at, wide, lean), digit()))
    stroke = digit() > 0.4
    assert (ink[stroke] > 0).mean() > 0.98
    near = np.zeros_like(stroke)
    near[120:360, 200:440] = True
    assert (ink[~near] > 0).mean() < 0.01


@pytest.mark.parametrize("width", [0.03, 0.12, 0.2])
def test_a_wide_stroke_is_ink_throughout(width):
    stroke = digit(width)
    ink = ink_of(page(band(330, 150, 0.2), stroke))
    assert (ink[stroke > 0.6] > 0.5 * ink.max()).all()


def test_pale_strokes_beside_dark_ones_are_ink():
    """A pencil's line beside ink: a wide pale stroke is no shadow while it is no wider than one."""
    pencil = np.zeros((HEIGHT, WIDTH))
    pencil[200:222, 40:180] = 0.3
    ink = ink_of(page(np.ones((HEIGHT, WIDTH)), digit(), pencil))
    assert (ink[204:218, 44:176] > 0).mean() > 0.98
