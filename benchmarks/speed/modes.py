"""How much is measured: the tasks, their goals, and how often each is repeated."""

from __future__ import annotations

from dataclasses import dataclass

from speed import clock, peers
from speed.tasks import Task

ONE, ALL = "products, 1 thread", "products, all threads"
IMAGES, MORE = 60_000, 600_000
ITERATIONS, EPOCHS = 2000, 5  # of the README's commands: full batches, mini-batches


@dataclass(frozen=True)
class Mode:
    """How much is measured."""

    name: str
    repeats: int
    block: float  # seconds of this project's steps between two readings of the clock
    images: int
    recipe_repeats: int
    whole_iterations: int
    whole_repeats: int
    csv_images: int
    growth: tuple[int, ...]  # images
    widths: tuple[int, ...]
    recipes: tuple[str, ...] = ("fast", "accurate", "long", "strong")
    iterations: int = ITERATIONS  # of a run of full batches, set-up included
    epochs: int = EPOCHS  # of a run of mini-batches
    run_repeats: tuple[int, int] = (2, 5)  # of each: a run of full batches takes a minute and more
    pause: float = clock.pause  # seconds between two systems


FULL = Mode(
    "full", 7, 0.3, IMAGES, 5, 500, 5, 42_000, (6_000, IMAGES, MORE), (128, 512, 1024, 2048, 4096)
)
QUICK = Mode(
    "quick", 3, 0.03, IMAGES, 2, 20, 1, 4_200, (6_000, 4 * IMAGES), (128, 512),
    iterations=20, epochs=1, run_repeats=(1, 2), pause=0.1,
)  # fmt: skip
TINY = Mode(
    "tiny", 2, 0.002, 2_000, 1, 3, 1, 100, (2_000,), (16,),
    recipes=("fast",), iterations=4, epochs=1, run_repeats=(1, 1), pause=0.0,
)  # fmt: skip


@dataclass(frozen=True)
class Goal:
    """A time of this project over that of something else, at most."""

    against: str
    at_most: float


RECIPE_GOALS = {"fast": 1.2, "accurate": 1.6, "long": 1.5, "strong": 1.1}  # x the products alone


def tasks(mode: Mode) -> list[tuple[Task, list[Goal]]]:
    """The work, and what is to be reached there."""
    images = mode.images
    eager, fused, jax = peers.EAGER, peers.FUSED, peers.JAX
    small = [
        (Task("784-10-10", None, rate=0.5, images=min(images, 59_000)),
         [Goal(eager, 0.5), Goal(jax, 0.6), Goal(ALL, 1.4)]),
        (Task("784-128-10", 32, images=images),
         [Goal(eager, 0.5), Goal(jax, 1.0), Goal(ONE, 1.3)]),
        (Task("784-128-10", 128, images=images),
         [Goal(eager, 0.5), Goal(jax, 1.0), Goal(ONE, 1.2)]),
        (Task("784-128-10", 128, "adam", 0.001, images=images),
         [Goal(eager, 0.5), Goal(fused, 0.8), Goal(jax, 1.0)]),
    ]  # fmt: skip
    large = [
        (Task("784-1024-1024-10", 256, images=images),
         [Goal(eager, 0.75), Goal(jax, 0.95), Goal(ALL, 1.15)]),
        (Task("784-1024-1024-10", 1024, images=images),
         [Goal(eager, 0.9), Goal(jax, 0.95), Goal(ALL, 1.15)]),
    ]  # fmt: skip
    if mode is TINY:
        return small[::3]
    return small + (large[:1] if mode is QUICK else large)
