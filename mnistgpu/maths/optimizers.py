"""Update rules on the one parameter vector, and the schedules of their learning rate.

theta (n,) holds all weights and biases. An update rule changes it in place from a gradient (n,), a
state and a few numbers. The state is a dict of vectors by name, which a checkpoint saves; nothing
else is remembered, so the same arguments give the same bits. The numbers are computed on the host
from the learning rate and the step. When a step is captured and replayed, they are arrays () on the
device, which are overwritten before each replay.

OPTIMIZERS and SCHEDULES are the one place where the names stand: a new one is a function and a row.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mnistgpu.backend import Array, array_namespace, with_kernel, with_out
from mnistgpu.maths import exact

State = dict[str, Array]
Numbers = tuple[Any, ...]  # floats, or arrays () where theta lives

BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-8
MOMENTUM = 0.9  # customary
SMALLEST_RATE = 1e-30  # a schedule may reach 0, which must not be a divisor


@dataclass(frozen=True)
class Optimizer:
    """An update rule, the vectors in its state, all zero at first, and the numbers it takes.

    apply(theta, gradient, state, numbers) changes theta and the state in place, and may use the
    gradient as working memory. numbers(rate, step) gives the numbers for a learning rate and for
    step 0, 1, ... rate is the customary learning rate, to be tried first. has_momentum: whether the
    momentum of the settings is its last number.
    """

    apply: Callable[[Array, Array, State, Numbers], None]
    remembers: tuple[str, ...] = ()
    numbers: Callable[[float, int], tuple[float, ...]] = lambda rate, step: (rate,)
    rate: float = 0.1
    has_momentum: bool = False

    def update(self, theta: Array, gradient: Array, state: State, rate: float, step: int) -> None:
        """Take step 0, 1, ... at this learning rate. The gradient's values are overwritten."""
        self.apply(theta, gradient, state, self.all_numbers(rate, step, MOMENTUM))

    def all_numbers(self, rate: float, step: int, momentum: float) -> tuple[float, ...]:
        """The numbers that `apply` takes in step 0, 1, ..."""
        return self.numbers(rate, step) + ((momentum,) if self.has_momentum else ())

    def start(self, theta: Array) -> State:
        """The state before the first step."""
        xp = array_namespace(theta)
        return {name: xp.zeros_like(theta) for name in self.remembers}


@with_kernel
def gradient_descent(theta: Array, gradient: Array, state: State, numbers: Numbers) -> None:
    """theta -= rate * gradient."""
    (rate,) = numbers
    gradient *= rate
    theta -= gradient


def momentum(theta: Array, gradient: Array, state: State, numbers: Numbers) -> None:
    """v = momentum * v + gradient; theta -= rate * v (Polyak 1964)."""
    rate, kept = numbers
    velocity = state["velocity"]
    velocity *= kept
    velocity += gradient
    theta -= rate * velocity


def nesterov(theta: Array, gradient: Array, state: State, numbers: Numbers) -> None:
    """v = momentum * v + gradient; theta -= rate * (gradient + momentum * v).

    Nesterov 1983; Sutskever et al. 2013.
    """
    rate, kept = numbers
    velocity = state["velocity"]
    velocity *= kept
    velocity += gradient
    gradient += kept * velocity
    gradient *= rate
    theta -= gradient


@with_kernel
def adam(theta: Array, gradient: Array, state: State, numbers: Numbers) -> None:
    """Adam (Kingma and Ba 2015), algorithm 1, with `adam_numbers`.

    With weight decay applied apart from the gradient, it is AdamW (Loshchilov and Hutter 2019).
    The moving averages are kept without their factors 1 - beta, which are part of the numbers: this
    saves two passes over the vectors.
    """
    xp = array_namespace(theta)
    first, second = state["first"], state["second"]  # m / (1 - beta_1) and v / (1 - beta_2)
    first *= BETA_1
    first += gradient
    second *= BETA_2
    gradient *= gradient
    second += gradient
    # theta -= rate * m_factor * first / (v_factor * sqrt(second) + epsilon)
    epsilon, scale = numbers
    # in the memory of the gradient: a new vector would displace other arrays in the cache
    with_out(xp.sqrt, theta)(second, out=gradient)
    gradient += epsilon
    gradient *= scale
    with_out(xp.divide, theta)(first, gradient, out=gradient)
    theta -= gradient


def adam_numbers(rate: float, step: int) -> tuple[float, float]:
    """epsilon / v_factor and v_factor / (rate m_factor) of step 0, 1, ...: the bias corrections."""
    m_factor = (1 - BETA_1) / (1 - exact.power(BETA_1, step + 1))
    v_factor = math.sqrt((1 - BETA_2) / (1 - exact.power(BETA_2, step + 1)))
    return EPSILON / v_factor, v_factor / (max(rate, SMALLEST_RATE) * m_factor)


OPTIMIZERS = {
    "gradient-descent": Optimizer(gradient_descent),
    "momentum": Optimizer(momentum, ("velocity",), has_momentum=True),
    "nesterov": Optimizer(nesterov, ("velocity",), has_momentum=True),
    "adam": Optimizer(adam, ("first", "second"), adam_numbers, rate=0.001),
}


# Schedules: the factor of the learning rate, from the share of the steps taken, in [0, 1). Without
# the C library's powers and cosines, whose last bits differ from system to system.


def constant(progress: float) -> float:
    """1 throughout."""
    return 1.0


def linear(progress: float) -> float:
    """From 1 straight down to 0."""
    return 1.0 - progress


def cosine(progress: float) -> float:
    """Half a cosine from 1 to 0 (Loshchilov and Hutter 2017)."""
    cos, _ = exact.cos_sin(math.pi * progress)
    return float(0.5 * (1.0 + cos))


def step(progress: float) -> float:
    """1, and a tenth after each third of the run."""
    return exact.power(0.1, int(3 * progress))


def exponential(progress: float) -> float:
    """From 1 to 1/1000, by the same factor at every step (as Ciresan et al. 2010)."""
    return exact.float_power("0.001", progress)


def one_cycle(progress: float) -> float:
    """A cosine up from 1/25 over the first 30%, then one down to 0 (Smith and Topin 2018)."""
    if progress < 0.3:
        return 1 / 25 + (1 - 1 / 25) * (1.0 - cosine(progress / 0.3))
    return cosine((progress - 0.3) / 0.7)


SCHEDULES = {
    "constant": constant,
    "linear": linear,
    "cosine": cosine,
    "step": step,
    "exponential": exponential,
    "one-cycle": one_cycle,
}


def learning_rate(peak: float, schedule: str, warmup: float, taken: int, steps: int) -> float:
    """The learning rate of the next step, after `taken` of `steps`.

    Over the first share `warmup` of the steps it rises linearly from a tenth of the peak; the
    schedule applies to the steps after that.
    """
    rising = warmup * steps
    if taken < rising:
        return peak * (0.1 + 0.9 * taken / rising)
    return peak * SCHEDULES[schedule]((taken - rising) / (steps - rising))
