"""The gradient of a shard in `--precision exact`: the same bits whatever computes it.

The equations are those of `shard.Shard`. Three things differ (see `maths/exact.py`):

- What enters a matrix product is rounded to a grid before: the weights once a step, the activations
  A_l and the errors dZ_l where they arise. Theta itself, Z and the probabilities keep all bits.
- exp and log are those of `maths.exact`.
- Factors that are no powers of two wait until all shards are summed: 1 / (images of the batch), and
  the 1/255 of the pixels. So `gradient` is a sum of whole multiples of a grid until `finish`, and
  where a batch is cut into shards, and in which order they are added, changes no bit.

    A_l  = max(W A_{l-1} + (b + C), C) - C      on the grid of activations; C is its magic number
    dZ_L = round(P - T),  dZ_l = round(W_{l+1}^T dZ_{l+1} * ReLU'(Z_l))     on that of errors

`largest` keeps the largest |A_l| and |dZ_l| of the run, which must stay below the ranges of
`exact_grids` (`out_of_range`), or sums are no longer exact.
"""

from __future__ import annotations

from typing import Any

from mnistgpu.backend import Array, array_namespace, with_out
from mnistgpu.counter_rng import DROPOUT, NOISE
from mnistgpu.engine.exact_inputs import ExactInputs, rounded_weights
from mnistgpu.engine.inputs import Chance
from mnistgpu.engine.shard import Buffers, Shard, keep_where_positive
from mnistgpu.maths import exact, exact_grids, exact_norm, regularize
from mnistgpu.maths.activations import exact_activation
from mnistgpu.network import Layer
from mnistgpu.settings import Settings


class ExactShard(Shard):
    """See `Shard`. `largest` (2 hidden layers,) has the largest |A_l|, then the largest |dZ_l|."""

    def __init__(
        self,
        theta: Array,
        sizes: tuple[int, ...],
        settings: Settings,
        inputs: ExactInputs,
        targets: Array,
        group: int,
        gradient: Array | None = None,
    ):
        super().__init__(theta, sizes, settings, inputs, targets, group, gradient)
        self.grids = inputs.grids
        self.C, self.C_errors = self.grids.magic_numbers()
        # what products and sums take for W and b
        self.factors: list[Layer] = [(self.xp.empty_like(W), b + 0.0) for W, b in self.params]
        self.hidden = len(sizes) - 2
        # nothing stands between the sums and ReLU, so one rounding does for both
        between = settings.hidden_noise > 0 or settings.hidden_dropout > 0 or settings.batch_norm
        self.joined = settings.activation == "relu" and not between
        self._multiply = with_out(self.xp.multiply, theta)
        self.value, self.derivative = exact_activation(settings.activation)
        self.largest: Array = self.xp.zeros_like(theta[: 2 * self.hidden])

    def add(
        self,
        X: Array,
        labels: Array,
        scale: Any,
        first: bool,
        chance: Chance,
        weights: Array | None = None,
    ) -> None:
        """As `Shard.add`, but for `scale`, which `finish` applies to the sum over all shards.

        There are no `weights`, which `runs.checks` refuses: their products are on no grid.
        """
        xp, grids, targets = self.xp, self.grids, self.xp.take(self.targets, labels, axis=1)
        if first:
            self.round_weights()
        buffers = self.buffers_for(X.shape[1])
        Z = self.forward(X, buffers, chance)
        right = xp.count_nonzero(xp.argmax(Z, axis=0) == labels)
        Z -= xp.max(Z, axis=0, keepdims=True)
        dZ, total = softmax_errors(Z, targets, grids)
        loss = total_loss(Z, targets, total, grids)
        self.backward(dZ, buffers, self.gradients if first else self._addends)
        del buffers.A[0]  # so that the next shard's images can take this memory
        if first:
            self.loss, self.right, self.statistics = loss, right, []
        else:
            self.gradient += self._addend
            self.loss, self.right = self.loss + loss, self.right + right
        if self.settings.batch_norm:
            self.statistics.append((X.shape[1], buffers.statistics(exact.fold)))

    def statistics_of(self, X: Array) -> list[tuple[Array, Array]]:
        """See `Shard`."""
        self.round_weights()
        buffers: Buffers = self.buffers_for(X.shape[1])
        self.forward(X, buffers, Chance({}, deform=False))
        return buffers.statistics(exact.fold)

    def round_weights(self) -> None:
        """W of each layer on its grid, and b with the magic number that rounds the sum to A's."""
        last = len(self.params) - 1
        for i, ((W, b), (factor, addend)) in enumerate(zip(self.params, self.factors, strict=True)):
            self._multiply(W, 1.0 if i else self.factor, out=factor)
            rounded_weights(factor, self.grids.weight_bits(i))
            addend[...] = b
            if self.joined and i < last:
                addend += self.C

    def forward(self, X: Array, buffers: Buffers, chance: Chance) -> Array:
        """See `Shard`."""
        buffers.A[0] = X
        for layer, (W, b) in enumerate(self.factors):
            sums, Z = buffers.sums[layer], buffers.Z[layer]
            self.matmul(W, buffers.A[layer], out=sums)
            if layer == self.hidden:
                return self._add(sums, b, out=Z)
            if self.joined:
                Z += b  # with C, which rounds the sum
                self._maximum(Z, buffers.zero[layer], out=Z)
                Z -= self.C
                A = Z
            else:
                A = self.activate(b, buffers, layer, chance)
            relu = self.settings.activation == "relu"
            self.note(layer, self.xp.max(A) if relu else exact.largest(A))
            buffers.A[layer + 1] = A
        raise AssertionError("a network has a last layer")

    def activate(self, b: Array, buffers: Buffers, layer: int, chance: Chance) -> Array:
        """A_l on its grid from W A, with all that may stand between them."""
        settings, sums, Z = self.settings, buffers.sums[layer], buffers.Z[layer]
        keys, place, _ = chance
        if settings.batch_norm:
            normalize, group = exact_norm.normalize, self.group
            buffers.groups[layer] = regularize.normalize_groups(sums, group, normalize)
            exact.to_grid(sums, exact_norm.normalized_magic(self.group, self.grids.errors))
        self._add(sums, b, out=Z)
        if settings.hidden_noise > 0:
            own, deviation = keys[NOISE, layer], settings.hidden_noise
            regularize.add_noise(Z, own, deviation, 1, place, exact.noise)
        if settings.activation == "relu":
            A = self._maximum(Z, 0.0, out=Z)
        else:
            A = self.value(Z)
            buffers.slope[layer] = self.derivative(Z, A)
        if settings.hidden_dropout > 0:
            own, rate = keys[DROPOUT, layer], settings.hidden_dropout
            buffers.kept[layer] = regularize.drop(A, own, rate, first=place)
        return exact.to_grid(A, self.C)

    def backward(self, dZ: Array, buffers: Buffers, gradients: list[Layer]) -> None:
        """See `Shard`."""
        for layer in range(len(gradients) - 1, -1, -1):
            dW, db = gradients[layer]
            self.matmul(dZ, buffers.ones, out=db)
            if self.settings.batch_norm and layer < self.hidden:
                regularize.normalize_groups_backward(dZ, buffers.groups[layer], self.group)
                self.round_errors(dZ, layer)
            self.matmul(dZ, buffers.A[layer].T, out=dW)
            if layer > 0:
                dA = buffers.dZ[layer - 1]
                self.matmul(self.factors[layer][0].T, dZ, out=dA)
                if self.settings.hidden_dropout > 0:
                    dA *= buffers.kept[layer - 1]
                if self.settings.activation == "relu":
                    keep_where_positive(dA, buffers.A[layer])
                else:
                    dA *= buffers.slope[layer - 1]
                self.round_errors(dA, layer - 1)
                dZ = dA

    def round_errors(self, dZ: Array, layer: int) -> None:
        """dZ of a hidden layer on its grid, and its largest number kept."""
        exact.to_grid(dZ, self.C_errors)
        self.note(self.hidden + layer, exact.largest(dZ))

    def note(self, place: int, value: Array) -> None:
        """Keep the largest value () so far. In place, so that no step waits for the device."""
        self.largest[place : place + 1] = self.xp.maximum(self.largest[place : place + 1], value)

    def out_of_range(self) -> str:
        """See `Shard`."""
        for place in range(2 * self.hidden):
            layer, of_errors = place % self.hidden + 1, place >= self.hidden
            below = exact_grids.ERRORS_BELOW if of_errors else exact_grids.ACTIVATIONS_BELOW
            value = float(self.largest[place])
            if not value <= below:  # nan too
                what = "a gradient by the sums" if of_errors else "an activation"
                return (
                    f"{what} of hidden layer {layer} is {value:g}, beyond the {below:g} up to "
                    "which --precision exact rounds no sum,"
                )
        return ""

    def finish(self, gradient: Array, begin: int, images: int) -> None:
        """Turn the sum over all images of a batch into the mean gradient, in place.

        `gradient` is all of it or the part from parameter `begin` on.
        """
        finish(gradient, self.sizes[0] * self.sizes[1] - begin, self.factor, images)

    def new_buffers(self, m: int) -> Buffers:
        """See `Shard`. Products of few units are not faster image by image, as in float32."""
        buffers = Buffers(self.gradient, self.sizes, m, self.settings.batch_norm)
        Z = buffers.Z[0]
        buffers.sums[0] = self.xp.empty_like(Z) if self.settings.batch_norm else Z
        if self.xp.__name__ == "numpy":
            buffers.zero = [zero + self.C for zero in buffers.zero]
        else:
            buffers.zero = [self.C for _ in buffers.zero]
        return buffers


def finish(gradient: Array, first_weights: int, factor: float, images: int) -> None:
    """Turn a sum over images into the mean gradient, in place: dW_1 also by the pixels' factor.

    first_weights: how many of the numbers, from the first on, are of W_1.
    """
    split = max(0, first_weights)
    gradient[:split] *= factor * (1.0 / images)
    gradient[split:] *= 1.0 / images


def softmax_errors(Z: Array, targets: Array, grids: exact_grids.Grids) -> tuple[Array, Array]:
    """dZ_L = P - T on its grid, from logits Z less their largest; and the column sums of exp(Z).

    Z and targets are (classes, m), the sums (1, m).
    """
    E = exact.to_grid(exact.exp(Z), exact.magic(grids.exponential_grid))
    total = array_namespace(Z).sum(E, axis=0, keepdims=True)
    E /= total
    E -= targets
    return exact.to_grid(E, exact.magic(grids.error_grid)), total


def total_loss(Z: Array, targets: Array, total: Array, grids: exact_grids.Grids) -> Any:
    """The sum of losses, from logits less their largest, targets, and column sums of exp(Z)."""
    xp, C = array_namespace(Z), exact.magic(grids.loss_grid)
    expected = xp.maximum(Z, -exact_grids.LOSSES_BELOW)
    expected *= targets
    exact.to_grid(expected, C)
    return xp.sum(exact.to_grid(exact.log(total), C)) - xp.sum(expected)
