"""The gradient of one shard of a batch: `network.forward` and `network.backward` in fast form.

What `network` writes as fresh arrays is written here into buffers made once, since on a CPU fresh
memory costs as much as the arithmetic; and what only training does to hidden units (normalisation,
noise, dropout) stands beside the equations. Tests hold the plain form equal to `network`, and every
regularised form to central differences: noise is a function of a key, so it can be drawn twice.
"""

from __future__ import annotations

from typing import Any

from mnistgpu import network
from mnistgpu.backend import Array, array_namespace, has_out, on_device_of, with_kernel, with_out
from mnistgpu.counter_rng import DROPOUT, NOISE
from mnistgpu.engine.inputs import Chance, Inputs
from mnistgpu.engine.products.precision import matmul_in
from mnistgpu.engine.teacher import Teacher
from mnistgpu.maths import regularize
from mnistgpu.maths.activations import ACTIVATIONS
from mnistgpu.maths.information import information_slopes
from mnistgpu.settings import Settings


class Shard:
    """One worker's parameters, buffers and sums. `theta` is only read; the trainer updates it.

    `inputs` turns images into the X of `add`, where the first activations are `Inputs.factor` * X.
    `targets` (classes, classes) has the smoothed one-hot column of each class. `group` images are
    normalised together, if any are. `gradient` is the memory for the sum, by default memory of its
    own.
    """

    def __init__(
        self,
        theta: Array,
        sizes: tuple[int, ...],
        settings: Settings,
        inputs: Inputs,
        targets: Array,
        group: int,
        gradient: Array | None = None,
    ):
        self.xp = xp = array_namespace(theta)
        self.sizes, self.settings, self.inputs, self.targets = sizes, settings, inputs, targets
        self.factor, self.group = inputs.factor, group
        self.activation = ACTIVATIONS[settings.activation]
        count = network.parameter_count(sizes)  # after them theta may have those of a decoder
        self.params = network.layers(theta[:count], sizes)  # views: they follow theta
        self.gradient = xp.zeros_like(theta) if gradient is None else gradient
        self.loss: Any = 0.0
        self.right: Any = 0
        # of each shard since the first: its images, mean and variance of each normalised layer
        self.statistics: list[tuple[int, list[tuple[Array, Array]]]] = []
        self.teacher: Teacher | None = None  # whose answers are learnt, in place of labels
        self.largest: Array | None = None  # numbers that must stay in a range, see `out_of_range`
        self._addend = xp.empty_like(theta)
        self.gradients = network.layers(self.gradient[:count], sizes)
        self._addends = network.layers(self._addend[:count], sizes)
        self._buffers: dict[int, Buffers] = {}
        self.matmul = with_out(matmul_in(settings.precision, xp), theta)
        self._add = with_out(xp.add, theta)
        self._maximum = with_out(xp.maximum, theta)

    def add_images(
        self,
        images: Array,
        labels: Array,
        scale: float,
        first: bool,
        chance: Chance,
        weights: Array | None = None,
    ) -> None:
        """As `add`, from the images (m, pixels) that `Inputs.crop` has left."""
        X = self.inputs.columns(images, labels, chance, self.gradient.dtype)
        self.add(X, labels, scale, first, chance, weights)

    def add(
        self,
        X: Array,
        labels: Array,
        scale: Any,
        first: bool,
        chance: Chance,
        weights: Array | None = None,
    ) -> None:
        """Add the gradient, the sum of losses and the right answers of a shard to this worker's.

        factor * X (n_0, m) are the first activations, labels (m,) int64. A gradient is `scale`
        times the sum over images: with 1 / (images of the batch) it is the mean. `first` starts the
        sums anew. Sums over images are products with ones: BLAS adds faster than NumPy. `weights`
        (m,) are the `Engine.relative_weights` by which each image counts.
        """
        buffers = self.buffers_for(X.shape[1])
        sums, b = self.forward(X, buffers, chance), self.params[-1][1]
        how = scale, buffers, self.matmul, weights
        if self.teacher is None:
            dZ, loss, right = head(sums, b, labels, self.targets, *how)
        else:  # a target for each image, and labels for the right answers alone
            xp, places = self.xp, self.xp.arange(X.shape[1], **on_device_of(X))
            right = xp.count_nonzero(xp.argmax(sums + b, axis=0) == labels)
            Y = self.teacher.answers(X, self.matmul)
            dZ, loss, _ = head(sums, b, places, Y, *how)
        if self.settings.information > 0:  # of the logits, which the head leaves in Z
            own = weights if self.settings.unlabeled is None else None
            slopes = information_slopes(buffers.Z[-1], self.group, own)
            dZ -= self.settings.information * scale * slopes
        self.backward(dZ, buffers, self.gradients if first else self._addends)
        del buffers.A[0]  # so that the next shard's images can take this memory
        if first:
            self.loss, self.right, self.statistics = loss, right, []
        else:
            self.gradient += self._addend
            self.loss, self.right = self.loss + loss, self.right + right
        if self.settings.batch_norm:
            self.statistics.append((X.shape[1], buffers.statistics()))

    def finish(self, gradient: Array, begin: int, images: int) -> None:
        """Make the mean of a gradient summed over all shards of a batch; here it is that already.

        gradient: all of it, or the part from parameter `begin` on; images: of the batch.
        """

    def out_of_range(self) -> str:
        """Which number has left the range of the arithmetic; "" if none has. A sync point."""
        return ""

    def forward(self, X: Array, buffers: Buffers, chance: Chance) -> Array:
        """The logits (classes, m) before their bias; `buffers` keeps what backward needs."""
        settings, (keys, place, _) = self.settings, chance
        buffers.A[0] = X
        hidden = len(self.params) - 1
        for layer, (W, b) in enumerate(self.params):
            sums, Z = buffers.sums[layer], buffers.Z[layer]
            self.multiply(W, buffers.A[layer], sums, layer)
            if layer == 0 and self.factor != 1.0:
                sums *= self.factor
            if layer == hidden:
                return sums
            if settings.batch_norm:
                buffers.groups[layer] = regularize.normalize_groups(sums, self.group)
            A = buffers.hidden[layer]
            in_one = settings.activation == "relu" and settings.hidden_noise == 0 and A is Z
            if in_one:
                add_bias_relu(sums, b, buffers.zero[layer], Z)
            else:
                self._add(sums, b, out=Z)
            if settings.hidden_noise > 0:
                regularize.add_noise(Z, keys[NOISE, layer], settings.hidden_noise, first=place)
            if settings.activation == "relu":
                if not in_one:
                    self._maximum(Z, buffers.zero[layer], out=A)
            else:
                A = self.activation.value(Z)
                buffers.slope[layer] = self.activation.derivative(Z, A)
            if settings.hidden_dropout > 0:
                rate, own = settings.hidden_dropout, keys[DROPOUT, layer]
                buffers.kept[layer] = regularize.drop(A, own, rate, first=place)
            buffers.A[layer + 1] = A
        raise AssertionError("a network has a last layer")

    def statistics_of(self, X: Array) -> list[tuple[Array, Array]]:
        """Mean and variance (n, 1) of each normalised layer of X (n_0, m), forward alone."""
        buffers: Buffers = self.buffers_for(X.shape[1])
        self.forward(X, buffers, Chance({}, deform=False))
        return buffers.statistics()

    def backward(self, dZ: Array, buffers: Buffers, gradients: list[network.Layer]) -> None:
        """Write (dW_l, db_l) of every layer into `gradients`, from the last layer to the first."""
        settings = self.settings
        last = len(gradients) - 1
        for layer in range(last, -1, -1):
            dW, db = gradients[layer]
            self.matmul(dZ, buffers.ones, out=db)
            if settings.batch_norm and layer < last:
                regularize.normalize_groups_backward(dZ, buffers.groups[layer], self.group)
            if layer == 0 and self.factor != 1.0:
                dZ *= self.factor
            self.multiply(dZ, buffers.A[layer].T, dW, layer)
            if layer > 0:
                dA = buffers.dZ[layer - 1]
                self.matmul(self.params[layer][0].T, dZ, out=dA)
                self.bend(dA, buffers, layer - 1)
                dZ = dA

    def bend(self, slopes: Array, buffers: Buffers, layer: int) -> None:
        """slopes *= dA/dZ of a hidden layer 0, 1, ..., with its dropout, element by element."""
        if self.settings.hidden_dropout > 0:
            slopes *= buffers.kept[layer]
        if self.settings.activation == "relu":
            keep_where_positive(slopes, buffers.hidden[layer])
        else:
            slopes *= buffers.slope[layer]

    def multiply(self, left: Array, right: Array, out: Array, layer: int) -> None:
        """out = left @ right, where `right` are the activations of a layer, or their transpose."""
        if layer == 0 and self.inputs.in_bytes:
            multiply_bytes(left, right, out, self.matmul)
        else:
            self.matmul(left, right, out=out)

    def buffers_for(self, m: int) -> Any:
        """The `new_buffers` for m images, made once."""
        if m not in self._buffers:
            if len(self._buffers) > 3:  # a full shard, the last of a batch, the last of an epoch
                self._buffers.clear()
            self._buffers[m] = self.new_buffers(m)
        return self._buffers[m]

    def new_buffers(self, m: int) -> Buffers:
        """Buffers for shards of m images."""
        return Buffers(self.gradient, self.sizes, m, self.settings.batch_norm)


@with_kernel
def multiply_bytes(left: Array, images: Array, out: Array, matmul: Any) -> None:
    """out (n, m) = left (n, k) @ images (k, m) of uint8."""
    matmul(left, array_namespace(left).astype(images, left.dtype), out=out)


@with_kernel
def head(
    sums: Array,
    b: Array,
    labels: Array,
    targets: Array,
    scale: Any,
    buffers: Buffers,
    matmul: Any,
    weights: Array | None = None,
) -> tuple[Array, Array, Array]:
    """From the logits sums + b to `scale` * dZ in a buffer, sum of losses, right answers (0-d).

    The logits, less the largest of each image, stay in the last Z of the buffers.

    sums (classes, m), b (classes, 1), labels (m,) int64; targets (classes, classes) has a column
    for each class; weights (m,) multiply the losses, or None.
    """
    xp, Z = array_namespace(sums), buffers.Z[-1]
    Y, column_sums, dZ = xp.take(targets, labels, axis=1), buffers.row, buffers.exp
    of_images = buffers.ones
    if weights is not None:
        Y, of_images = Y * weights, weights[:, None]
    with_out(xp.add, Z)(sums, b, out=Z)
    Z -= xp.max(Z, axis=0, keepdims=True)
    with_out(xp.exp, Z)(Z, out=dZ)
    matmul(buffers.ones_by_class, dZ, out=column_sums)
    right = xp.count_nonzero(xp.argmax(Z, axis=0) == labels)
    log_likelihood = xp.reshape(Y, (1, -1)) @ xp.reshape(Z, (-1, 1))
    loss = (xp.log(column_sums) @ of_images - log_likelihood)[0, 0]

    dZ /= column_sums  # (A_L - Y) * scale, where A_L = exp(Z) / column sums
    if weights is not None:
        dZ *= weights
    dZ -= Y
    dZ *= scale
    return dZ, loss, right


@with_kernel
def add_bias_relu(sums: Array, b: Array, zero: Any, out: Array) -> None:
    """out = ReLU(sums + b), with as many zeros as there are sums, or one."""
    xp = array_namespace(sums)
    with_out(xp.add, out)(sums, b, out=out)
    with_out(xp.maximum, out)(out, zero, out=out)


@with_kernel
def keep_where_positive(dA: Array, A: Array) -> None:
    """dA *= [A > 0]: as a product, since `where` is 20 times slower on NumPy."""
    if has_out(dA):
        array_namespace(dA).multiply(dA, A > 0, out=dA)
    else:
        dA *= array_namespace(dA).astype(A > 0, dA.dtype)


class Buffers:
    """Arrays for a shard of m images: what forward leaves for backward, layer by layer."""

    def __init__(self, like: Array, sizes: tuple[int, ...], m: int, batch_norm: bool):
        xp, where = array_namespace(like), on_device_of(like)

        def columns(n: int) -> Array:
            return xp.empty((n, m), dtype=like.dtype, **where)

        on_cpu = xp.__name__ == "numpy"
        self.Z = [columns(n) for n in sizes[1:]]
        self.hidden = self.Z[:-1]  # A of ReLU: the memory of Z, which nothing needs afterwards
        self.dZ = [columns(n) for n in sizes[1:-1]]
        # W A, normalised if asked for: the same memory as Z where nothing needs it afterwards
        self.sums = [columns(n) for n in sizes[1:]] if batch_norm else list(self.Z)
        if on_cpu and is_narrow(sizes[1], m):
            self.sums[0] = xp.empty((m, sizes[1]), dtype=like.dtype).T
        # the 0 of ReLU; NumPy compares numbers with as many zeros four times as fast as with one
        self.zero = [xp.zeros_like(Z) if on_cpu else 0.0 for Z in self.dZ]
        self.exp = columns(sizes[-1])  # of the logits, less their largest
        self.row = columns(1)
        self.ones = xp.ones((m, 1), dtype=like.dtype, **where)
        self.ones_by_class = xp.ones((1, sizes[-1]), dtype=like.dtype, **where)
        self.A: dict[int, Array] = {}
        self.slope: dict[int, Array] = {}  # activation'(Z)
        self.kept: dict[int, Array] = {}  # the factors of dropout
        self.beside: dict[int, Array] = {}  # what a decoder's cost asks of Z
        self.groups: dict[int, regularize.Groups] = {}  # of each normalised layer

    def statistics(
        self, total: regularize.Total = regularize.last_axis_sum
    ) -> list[tuple[Array, Array]]:
        """Mean and variance (n, 1) of every normalised layer; none without batch normalisation."""
        return [regularize.statistics(groups, total) for groups in self.groups.values()]


def is_narrow(units: int, m: int) -> bool:
    """Whether W_1 X is better computed as the transpose of X^T W_1^T, image by image.

    Images lie in memory as rows, and for few units OpenBLAS needs half the time if the result does
    too (measured: 0.24 instead of 0.45 ms with 10 units and 1024 images; no gain with 128 and 256).
    """
    return units <= 128 and 2 * units <= m
