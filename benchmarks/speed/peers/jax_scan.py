"""JAX: one compiled function that scans over the batches of a block of steps."""

from __future__ import annotations

from typing import Any

import numpy as np

from speed.tasks import Task, floats

BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-8


class Scan:
    """jax.jit of lax.scan, with data and state on the device."""

    def __init__(self, task: Task):
        import jax

        jax.config.update("jax_platforms", "cpu")
        self.jax, self.task = jax, task
        self.X, self.labels = jax.numpy.asarray(floats(task.images)), jax.numpy.asarray(task.labels)
        parameters = [
            (jax.numpy.asarray(W), jax.numpy.asarray(b[:, 0]))
            for W, b in task.layers_of(task.start)
        ]
        zeros = jax.tree.map(jax.numpy.zeros_like, parameters)
        self.state = (parameters, zeros, jax.tree.map(jax.numpy.zeros_like, parameters))
        self.run = jax.jit(self.scan, donate_argnums=0)

    def loss(self, parameters: Any, X: Any, labels: Any) -> Any:
        """The mean cross-entropy of a batch."""
        jnp, A = self.jax.numpy, X
        for W, b in parameters[:-1]:
            A = jnp.maximum(A @ W.T + b, 0.0)
        W, b = parameters[-1]
        log_p = self.jax.nn.log_softmax(A @ W.T + b)
        return -jnp.mean(jnp.take_along_axis(log_p, labels[:, None], axis=1))

    def scan(self, state: Any, first: Any, order: Any, X: Any, labels: Any) -> Any:
        """The state after a step for each row of order (count, B)."""
        jnp, tree, rate = self.jax.numpy, self.jax.tree, self.task.rate

        def step(carried: Any, rows: Any) -> Any:
            (parameters, m, v), t = carried
            batch = (X, labels) if self.task.batch is None else (X[rows], labels[rows])
            gradient = self.jax.grad(self.loss)(parameters, *batch)
            if self.task.optimizer == "adam":
                t1 = t + 1.0
                m = tree.map(lambda a, g: BETA_1 * a + (1 - BETA_1) * g, m, gradient)
                v = tree.map(lambda a, g: BETA_2 * a + (1 - BETA_2) * g * g, v, gradient)
                scale = rate / (1 - BETA_1**t1)
                root = 1.0 / jnp.sqrt(1 - BETA_2**t1)
                parameters = tree.map(
                    lambda p, a, b: p - scale * a / (jnp.sqrt(b) * root + EPSILON),
                    parameters, m, v,
                )  # fmt: skip
            else:
                parameters = tree.map(lambda p, g: p - rate * g, parameters, gradient)
            return ((parameters, m, v), t + 1.0), None

        (state, _), _ = self.jax.lax.scan(step, (state, first), order)
        return state

    def steps(self, first: int, count: int) -> None:
        """See `Peer`."""
        order = self.task.batches(first, count)
        if self.task.batch is None:
            order = order[:, :1]  # not used: every step takes all rows
        self.state = self.run(self.state, float(first), order, self.X, self.labels)
        self.jax.block_until_ready(self.state)

    def theta(self) -> np.ndarray:
        """See `Peer`."""
        parts = [np.asarray(array).reshape(-1) for layer in self.state[0] for array in layer]
        return np.concatenate(parts)
