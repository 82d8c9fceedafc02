"""Which numbers of a step are rounded to which grid, so that no sum of `--precision exact` rounds.

A factor of a matrix product is a whole multiple of its grid, of at most 2^bits. A sum of `terms`
products of an a-bit and a b-bit number is then a whole multiple of the product of both grids, and
so is every part of it, in whatever order it is added. If

    terms * 2^a * 2^b <= 2^53

then all these are numbers that a float64 holds, and no addition and no fused multiply-add rounds.
`plan` chooses the bits from the sizes of the layers and the number of images in a batch; wider
layers and larger batches leave fewer. docs/exact.md has a picture.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from mnistgpu.errors import UsageError
from mnistgpu.maths.exact import magic

HELD = 53  # bits of a whole number that a float64 holds
ACTIVATIONS_BELOW = 2.0**10  # the range of hidden activations; a run stops beyond it
ERRORS_BELOW = 2.0**6  # the range of dZ of a hidden layer, not divided by the number of images
LOSSES_BELOW = 2.0**10
WHOLE_PIXELS, PIXELS = 8, 16  # bits: of whole numbers; of centred, noisy or deformed pixels
# The most bits of each kind of number, and the fewest with which networks still learn as well
MOST = {"first_weights": 27, "weights": 20, "activations": 20, "errors": 22}
FEWEST = {"first_weights": 16, "weights": 20, "activations": 16, "errors": 16}
EXPONENTIALS, LOSSES = 40, 30  # of exp(logits), and of the losses that are shown


@dataclass(frozen=True)
class Grids:
    """How many bits the factors of products have, and from that their grids.

    pixels are below pixels_below, a power of two, in grey levels. Weights have their bits below the
    next power of two of the largest weight of their layer.
    """

    pixels: int
    pixels_below: float
    first_weights: int = MOST["first_weights"]
    weights: int = MOST["weights"]
    activations: int = MOST["activations"]
    errors: int = MOST["errors"]
    exponentials: int = EXPONENTIALS
    losses: int = LOSSES

    @property
    def pixel_grid(self) -> float:
        """In grey levels; 1 for plain images."""
        return math.ldexp(self.pixels_below, -self.pixels)

    @property
    def activation_grid(self) -> float:
        """Of the hidden layers' A."""
        return math.ldexp(ACTIVATIONS_BELOW, -self.activations)

    @property
    def error_grid(self) -> float:
        """Of every layer's dZ."""
        return math.ldexp(ERRORS_BELOW, -self.errors)

    @property
    def exponential_grid(self) -> float:
        """Of exp of logits less their largest, at most 1."""
        return math.ldexp(1.0, -self.exponentials)

    @property
    def loss_grid(self) -> float:
        """Of the terms of a loss."""
        return math.ldexp(LOSSES_BELOW, -self.losses)

    def weight_bits(self, layer: int) -> int:
        """Of W of the layer 0, 1, ..."""
        return self.weights if layer else self.first_weights

    def magic_numbers(self) -> tuple[float, float]:
        """Of the grids of activations and of errors."""
        return magic(self.activation_grid), magic(self.error_grid)


@dataclass(frozen=True)
class Product:
    """A sum of products: its name, number of terms, and the kinds and bits of its two factors."""

    name: str
    terms: int
    kinds: tuple[str, str]
    bits: tuple[int, int]

    @property
    def needs(self) -> float:
        """log2 of the largest sum, in units of its last bit: at most HELD. For people to read."""
        return math.log2(self.terms) + sum(self.bits)

    @property
    def is_exact(self) -> bool:
        """Whether no partial sum can need more than HELD bits."""
        return self.terms << sum(self.bits) <= 1 << HELD


def products(grids: Grids, sizes: Sequence[int], rows: int) -> list[Product]:
    """All sums of a step with a batch of so many rows, whatever shards it is cut into."""
    found, last = [], len(sizes) - 2
    # P - T is at most 1, and on the same grid as the errors of hidden layers
    last_errors = grids.errors - round(math.log2(ERRORS_BELOW))
    for i, (n_in, n_out) in enumerate(pairwise(sizes)):
        inputs = ("activations", grids.activations) if i else ("pixels", grids.pixels)
        weights = ("weights", grids.weights) if i else ("first_weights", grids.first_weights)
        errors = ("errors", grids.errors if i < last else last_errors)
        triples = [
            (f"W{i + 1} A{i}", n_in, weights, inputs),
            (f"dZ{i + 1} A{i}^T", rows, errors, inputs),
        ]
        if i > 0:
            triples.append((f"W{i + 1}^T dZ{i + 1}", n_out, weights, errors))
        found += [Product(name, terms, (a[0], b[0]), (a[1], b[1])) for name, terms, a, b in triples]
    found.append(
        Product("sum of exp", sizes[-1], ("exponentials", "ones"), (grids.exponentials, 0))
    )
    losses = rows * sizes[-1]
    found.append(Product("sum of losses", losses, ("losses", "ones"), (grids.losses, 0)))
    return found


def plan(sizes: Sequence[int], rows: int, pixels: int, pixels_below: float) -> Grids:
    """The finest grids with which all sums of a step are exact: layer sizes, images in a batch,
    bits and range of the pixels.

    Of two factors that could give way, the one with more bits over its fewest loses one. UsageError
    says what is too large where the fewest bits of all do not fit.
    """
    grids = Grids(pixels, pixels_below)
    most_classes = HELD - (sizes[-1] - 1).bit_length()
    most_losses = HELD - (rows * sizes[-1] - 1).bit_length()
    grids = replace(
        grids,
        exponentials=min(EXPONENTIALS, most_classes),
        losses=min(LOSSES, most_losses),
    )
    while inexact := [each for each in products(grids, sizes, rows) if not each.is_exact]:
        kinds = [kind for kind in inexact[0].kinds if kind in FEWEST]
        left = {kind: getattr(grids, kind) - FEWEST[kind] for kind in kinds}
        kind = max(left, key=lambda kind: (left[kind], kind))
        if left[kind] <= 0:
            raise beyond(inexact[0], sizes)
        grids = replace(grids, **{kind: getattr(grids, kind) - 1})
    return grids


def beyond(product: Product, sizes: Sequence[int]) -> UsageError:
    """The refusal of a product that does not fit, with the largest number of terms that would."""
    bits = sum(FEWEST.get(kind, own) for kind, own in zip(product.kinds, product.bits, strict=True))
    fits = 1 << (HELD - bits)
    what = f"a sum of {product.terms:,} terms in {product.name}"
    if product.name.startswith("dZ"):
        mend = f"choose a --batch-size of at most {fits:,}"
    elif product.name == "W1 A0":
        mend = f"use images of at most {fits:,} pixels"
    else:
        mend = f"choose --layers of at most {fits:,} units"
    return UsageError(
        f"--precision exact cannot hold {what} of {'-'.join(map(str, sizes))} without rounding it: "
        f"{mend}, or another --precision"
    )
