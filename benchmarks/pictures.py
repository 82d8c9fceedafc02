"""How many made pictures of each scene are read right: a table for docs/pictures.md.

    python benchmarks/pictures.py                          # the judging half, 40 pictures a scene
    python benchmarks/pictures.py --half tuning --count 10 --scene "note on a table"
    python benchmarks/pictures.py --model runs/MY-RUN --show folder  # keep what was not read right

`tests/made_pictures/` makes the pictures.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT)]


def main() -> None:
    from made_pictures import judging, measure, tuning
    from made_pictures.scenes import SCENES
    from PIL import Image

    from mnistgpu.api.inputs import network_of

    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--half", choices=("judging", "tuning"), default="judging")
    parser.add_argument("--count", type=int, default=40, help="pictures of each scene")
    parser.add_argument("--first", type=int, help="the first seed; 100, or 0 for the tuning half")
    parser.add_argument("--scene", action="append", choices=tuple(SCENES), help="this one alone")
    parser.add_argument("--model", default="shipped")
    parser.add_argument("--show", type=Path, help="write the pictures not read right to a folder")
    parser.add_argument("--thresholds", action="store_true", help="what each energy refuses")
    given = parser.parse_args()
    half = (judging if given.half == "judging" else tuning).half()
    trained, first = network_of(given.model), given.first
    if first is None:
        first = measure.JUDGED.start if given.half == "judging" else 0
    seeds = range(first, first + given.count)
    if given.thresholds:
        print(measure.thresholds(trained, half))
        return
    started = time.perf_counter()
    total = measure.Tally()
    print(f"{half.name} half, seeds {seeds.start} to {seeds.stop - 1}")
    print("| scene | right | unsure | refused | wrong | of them sure |")
    print("|---|---|---|---|---|---|")
    for scene in given.scene or SCENES:
        tally = measure.Tally()
        for seed in seeds:
            picture = measure.made(scene, seed, half)
            answer = measure.answered(trained, picture.levels, picture.many)
            own = measure.judged(picture.shows, *answer)
            tally.add(own)
            if given.show is not None and not own.right:
                given.show.mkdir(parents=True, exist_ok=True)
                said = str(answer[0]).replace("/", "_").replace("\n", "_")
                shows = picture.shows.replace("/", "_")
                name = f"{scene.replace(' ', '-')}-{seed}-{shows}-as-{said}.png"
                Image.fromarray(picture.levels).save(given.show / name)
        total.add(tally)
        print(row(scene, tally), flush=True)
    print(row("all", total))
    print(f"{time.perf_counter() - started:.0f} s")


def row(scene: str, tally) -> str:
    """A row of the table."""
    counts = (tally.unsure, tally.refused, tally.wrong, tally.sure_and_wrong)
    return f"| {scene} | {tally.right} of {tally.count} | " + " | ".join(map(str, counts)) + " |"


if __name__ == "__main__":
    main()
