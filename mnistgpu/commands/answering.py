"""`mnistgpu predict` and `submit`: a trained network's answers to images."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from mnistgpu import backend as backends
from mnistgpu.api import reading, studies
from mnistgpu.api.inputs import network_of
from mnistgpu.data.naming import EMBEDDED
from mnistgpu.errors import DataError
from mnistgpu.pictures import answers
from mnistgpu.reports import metrics
from mnistgpu.runs import run_directory
from mnistgpu.runs.counting import counted
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

    Of a folder of pictures each picture is read. If a file cannot be read, an error is printed and
    the others are still read; then the result is False.
    """
    if explain is not None:
        from mnistgpu.reports import plots

        files.check_ours("--explain", explain, ".png", files.PNG_MARK)
    trained, chosen = network_of(run), backends.select(backend)
    given: list[answers.Answer] = []
    lines: list[str] = []
    count = unread = 0
    in_folders = False
    for path in images:
        paths, unchanged = [path], as_is
        if reading.holds_pictures(path):
            from mnistgpu.pictures import folder

            in_folders, paths = True, folder.pictures_below(path)
            unchanged = as_is or folder.are_read_as_they_are(paths, trained)
            if unchanged and not as_is:
                print(f"note: {path}: {folder.AS_THEY_ARE}", file=sys.stderr)
        count += len(paths)
        for each in counted(paths, f"reading {path.name or path}", len(paths) > 1):
            try:
                found = list(answers.answers(trained, [each], chosen, many, unchanged))
                given += found
                lines += answers.as_lines(found)
            except DataError as error:
                print(f"error: {error}", file=sys.stderr)
                unread += 1
    if unread and in_folders:
        print(f"note: {unread:,} of {count:,} pictures could not be read", file=sys.stderr)
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
    return not unread


def submit(run: Path, test: Path, out: Path, force: bool, backend: str | None) -> None:
    """Write the answers to a test.csv of Kaggle as a submission, and print what to expect of it."""
    count = studies.submit(run, test, out, force=force, backend=backend)
    print(f"{count:,} answers in {out}")
    if (run / "results.json").is_file():
        print(expectation(run))


def expectation(run: Path) -> str:
    """What the validation images of a run say about the score of its answers, as a sentence."""
    if files.read_json(run / "settings.json").get("data") == EMBEDDED:
        return (
            "the run was trained on MNIST, which very likely has Kaggle's test images with their "
            "labels: its score in Digit Recognizer would say nothing; train on train.csv for one"
        )
    results = run_directory.read_results(run / "results.json")
    settings, _ = run_directory.read_record(run / "settings.json")
    accuracy, count = results.get("validation_accuracy"), int(settings.validation)
    if accuracy is None:
        return (
            "the run held no images out, so nothing says what score to expect; train it with "
            "--validation 1000 to see one"
        )
    if count == 0:  # images of their own, whose number is not saved
        return (
            f"of its validation images the run had {accuracy:.2%} right: on test images like these "
            "expect as much"
        )
    low, high = metrics.wilson_interval(round(accuracy * count), count)
    return (
        f"of the {count:,} images that the run held out it had {accuracy:.2%} right: on test "
        f"images like these expect {low:.2%} to {high:.2%}"
    )
