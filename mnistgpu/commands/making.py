"""`mnistgpu make-data`: makes a large set of deformed digits, and says how far it is."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

from mnistgpu.commands.flags import VersionOption, option

EVERY = 5.0  # seconds between two lines


class Lines:
    """A line for each few seconds of the work."""

    def __init__(self) -> None:
        self.begun: tuple[float, int] | None = None
        self.said = 0.0

    def __call__(self, there: int, count: int) -> None:
        """Print how many of so many images are there; how fast, since the first call."""
        now = time.monotonic()
        if self.begun is None:
            self.begun = now, there
        if now - self.said < EVERY and there < count:
            return
        self.said = now
        seconds, made = now - self.begun[0], there - self.begun[1]
        speed = f", {made / seconds:,.0f} a second" if seconds > 1 else ""
        print(f"{there:,} of {count:,} images ({there / count:.0%}){speed}", flush=True)


def make_data(
    out: Annotated[Path, option(help="The folder of the set.")],
    images: Annotated[int, option(help="How many images.", default="8000000, of 6.3 GB")] = 8000000,
    deform: Annotated[
        str, option(help="Named deformations: strong or ciresan.", default="strong")
    ] = "strong",
    seed: Annotated[int, option(help="What all random numbers follow from.", default="0")] = 0,
    validation: Annotated[
        int,
        option(
            help="How many of the 60,000 originals are the validation part, and not deformed.",
            default="5000",
        ),
    ] = 5000,
    version: VersionOption = False,
) -> None:
    """Make a large set of deformed digits of MNIST in a folder, to train on with --data.

    The same command goes on where it was stopped or killed, and checks a finished set.
    """
    from mnistgpu.api import making
    from mnistgpu.commands.training import leave
    from mnistgpu.data import made
    from mnistgpu.errors import StoppedError, printable
    from mnistgpu.runs.signals import stop_on_signals
    from mnistgpu.runs.stop import Stop

    stop = Stop()
    with stop_on_signals(stop):
        try:
            making.make_data(
                out,
                images,
                deform=deform,
                seed=seed,
                validation=validation,
                stop=stop,
                on_progress=Lines(),
            )
        except StoppedError as stopped:
            leave(f"{stopped}; the same command goes on", stopped.exit_status)
    digest = made.manifest_of(out).digest
    print(printable(f"{out}: whole; the digest of the set is {digest}"))
