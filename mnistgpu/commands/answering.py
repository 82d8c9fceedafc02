"""`mnistgpu predict` and `submit`: a trained network's answers to images."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from mnistgpu import backend as backends
from mnistgpu.api import studies
from mnistgpu.api.inputs import network_of
from mnistgpu.errors import DataError
from mnistgpu.pictures import answers
from mnistgpu.storage import files


def predict(
    run: Path,
    images: Sequence[Path],
    many: bool,
    as_is: bool,
    explain: Path | None,
    json: bool,
    backend: str | None,
) -> bool:
    """Print the digit in each image, and draw (PNG) the evidence for each if `explain` is given.

    If a file cannot be read, an error is printed and the others are still read; then the result
    is False.
    """
    if explain is not None:
        from mnistgpu.reports import plots

        files.check_ours("--explain", explain, ".png", plots.MARK)
    trained, chosen = network_of(run), backends.select(backend)
    given: list[answers.Answer] = []
    lines: list[str] = []
    all_read = True
    for path in images:
        try:
            found = list(answers.answers(trained, [path], chosen, many, as_is))
            given += found
            lines += answers.as_lines(found)
        except DataError as error:
            print(f"error: {error}", file=sys.stderr)
            all_read = False
    if explain is not None and given:
        from mnistgpu.pictures import explain as explanation

        shown = given[: explanation.MOST]
        plots.save(explanation.figure(trained, shown), explain)
        if len(shown) < len(given):
            print(f"note: {explain} has the first {len(shown)} of {len(given)}", file=sys.stderr)
    if json:
        print(answers.as_json(given))
    else:
        for line in lines:
            print(line)
    return all_read


def submit(run: Path, test: Path, out: Path, force: bool, backend: str | None) -> None:
    """Write the answers to Kaggle's test.csv as a submission."""
    count = studies.submit(run, test, out, force=force, backend=backend)
    print(f"{count:,} answers in {out}")
