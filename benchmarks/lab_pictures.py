"""Make the pictures of docs/lab.md: a screenshot of each part of the lab's page.

    python benchmarks/lab_pictures.py docs/images

A lab with a small network is trained and used as a person would use it. Needs playwright and a
Chromium.
"""

from __future__ import annotations

import io
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT)]

from helpers import lab as labs  # noqa: E402
from helpers.browser import launched  # noqa: E402
from helpers.lab import opened, text_of  # noqa: E402
from PIL import Image  # noqa: E402

from mnistgpu import data  # noqa: E402

WIDTH, COLOURS = 800, 96  # of a picture, so that it is small


def keep(content: bytes, path: Path) -> None:
    """Write a screenshot as a small PNG."""
    with Image.open(io.BytesIO(content)) as picture:
        height = round(picture.height * WIDTH / picture.width)
        small = picture.convert("RGB").resize((WIDTH, height), Image.Resampling.LANCZOS)
        few = small.quantize(COLOURS, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
        few.save(path, optimize=True)
    print(path)


def main(folder: Path) -> None:
    """Write the pictures into a folder."""
    settings = {"layers": "784-32-10", "init": "he", "batch_size": 128, "epochs": 8}
    with (
        tempfile.TemporaryDirectory() as runs,
        labs.running(data.load(), Path(runs), validation=1000, **settings) as lab,
        launched() as browser,
    ):
        view, page = opened(browser, lab)

        def picture(name: str, selector: str = "body") -> None:
            page.mouse.move(1, 1)
            page.wait_for_timeout(700)
            keep(page.locator(selector).screenshot(), folder / f"lab-{name}.png")

        def change(name: str, value: str) -> None:
            page.fill(f"#set-{name}", value)
            page.press(f"#set-{name}", "Enter")
            text_of(page, "#events", value)

        def epoch(step: str) -> None:
            page.click("#epoch")
            text_of(page, "#where", f"At iteration {step}")

        page.evaluate("document.getElementById('group-regularisation').open = true")
        epoch("461")
        epoch("922")
        change("learning_rate", "0.05")
        epoch("1,383")
        change("hidden_dropout", "0.2")
        epoch("1,844")
        page.evaluate("document.getElementById('group-regularisation').open = false")
        picture("train")
        page.click("#tab-neuron")
        text_of(page, "#image-says", "The network says")
        page.fill("#unit-of-1", "5")
        page.click("#open-1")
        page.wait_for_function("() => document.querySelectorAll('#responds figure').length === 10")
        picture("neuron")
        page.click("#edit-off")
        text_of(page, "#edit-list", "switched off")
        page.fill("#edit-prune-value", "90")
        page.click("#edit-prune")
        text_of(page, "#edit-list", "90%")
        picture("edit", "section[aria-labelledby=edit-title]")
        page.click("#tab-layers")
        text_of(page, "#plane-says", "After step 1,844")
        picture("layers")
        page.click("#tab-beside")
        page.select_option("#difference", "rate")
        page.fill("#other-value", "0.02")
        page.click("#beside-start")
        text_of(page, "#beside-note", "Done.", timeout=120_000)
        picture("beside")
        page.click("#tab-experiments")
        page.click("#experiment-from-three-to-eight")
        page.check("#guess-1")
        page.click("#experiment-run")
        text_of(page, "#experiment-result", "What happened", timeout=120_000)
        picture("experiment", "#experiment")
        assert view.complaints == []


if __name__ == "__main__":
    main(Path(sys.argv[1]))
