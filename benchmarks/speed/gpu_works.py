"""What benchmarks/gpu.py measures: networks, batch sizes, precisions, and limits of the chip."""

from __future__ import annotations

from dataclasses import dataclass, field

IMAGES = 60_000
WIDE = "784-2500-2000-1500-1000-500-10"  # Ciresan et al. 2010
COPY = "60,000 float32 images, ms to copy"
PRODUCT = "product of 8192, {}, TFLOP/s"


@dataclass(frozen=True)
class Work:
    """A network, a batch size (None: full batch) and a precision; plain gradient descent."""

    layers: str
    batch: int | None
    precision: str = "float32"

    @property
    def name(self) -> str:
        """As in the table."""
        batch = "full batch" if self.batch is None else f"B={self.batch}"
        return f"{self.layers}, {batch}, {self.precision}"

    @property
    def sizes(self) -> list[int]:
        """The layer sizes as numbers."""
        return [int(n) for n in self.layers.split("-")]

    @property
    def operations(self) -> float:
        """Multiplications and additions of a step: three products a layer, two in the first."""
        pairs = list(zip(self.sizes, self.sizes[1:], strict=False))
        products = sum(a * b * (2 if i == 0 else 3) for i, (a, b) in enumerate(pairs))
        return 2.0 * products * (self.batch or IMAGES)


SMALL = [
    Work("784-10-10", None),
    Work("784-128-10", 128),
    Work("784-128-10", 1024),
]
LARGE = [
    Work(WIDE, batch, precision)
    for batch in (1024, 8192)
    for precision in ("tf32", "bf16", "float32")
]
WORKS = {work.name: work for work in SMALL + LARGE}


@dataclass(frozen=True)
class Sizes:
    """How much is measured. Lengths of runs are as people choose them; rows of history included."""

    images: int
    works: list[Work]
    iterations: int  # of a run of full batches
    epochs: int  # of mini-batches
    copied: int  # float32 numbers
    rows: int  # of the large product's factors
    minutes: float  # for all parts; more where a busy CPU is in the place of a GPU
    flags: dict[str, list[str]] = field(default_factory=dict)  # of a recipe's whole run


FULL = Sizes(IMAGES, [*WORKS.values()], 2000, 5, 2**28, 8192, 8.0)
_FEW = ["--layers", "784-16-10", "--batch-size", "256", "--epochs", "3"]
TINY = Sizes(  # to try the whole script where CuPy computes on a CPU
    1500,
    [Work("784-10-10", None), Work("784-16-10", 128)]
    + [Work("784-16-12-10", 256, precision) for precision in ("tf32", "bf16", "float32")],
    100,
    3,
    2**20,
    64,
    90.0,
    {
        "classic": ["--iterations", "100", "--validation", "100"],
        "fast": _FEW,
        "record": [*_FEW, "--images-per-map", "64"],
    },
)
