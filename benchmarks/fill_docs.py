"""Put the tables of benchmarks/results/ where the README and docs/ show them.

Run:  python benchmarks/fill_docs.py [--check]

A table stands between <!-- name --> and <!-- /name -->. With --check nothing is written, and the
exit status is 1 if a document is out of date.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results"
TABLES = {  # name between the marks, file that holds it
    "recipes": RESULTS / "recipes-numpy.md",
    "board": RESULTS / "board.md",
    "classic-scan": RESULTS / "classic-scan.md",
    "ablation": RESULTS / "ablation.md",
    "transcript": RESULTS / "transcript.md",
    "cpu": RESULTS / "cpu-summary.md",
    "pieces": RESULTS / "pieces.md",
    "forms": RESULTS / "forms.md",
    "watching": RESULTS / "watching.md",
    "launches": RESULTS / "launches.md",
    "deformations": RESULTS / "deformations-numpy.md",
    "ranks": RESULTS / "ranks.md",
    "ranks-model": RESULTS / "ranks-model.md",
    "exact-digests": RESULTS / "exact-digests.md",
    "exact-speed": RESULTS / "exact-speed.md",
    "exact-transcript": RESULTS / "exact-transcript.md",
    "estimator": RESULTS / "estimator.md",
    "other-sets": RESULTS / "other-sets.md",
    "batch-sizes": RESULTS / "batch-sizes.md",
}
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def filled(text: str) -> str:
    """The text of a document with every table in its place; FileNotFoundError if one is missing."""
    for name, path in TABLES.items():
        if f"<!-- {name} -->" in text:
            marks = f"(<!-- {name} -->\n).*?(<!-- /{name} -->)"
            table = path.read_text().strip()
            text = re.sub(marks, lambda m, t=table: f"{m[1]}{t}\n{m[2]}", text, flags=re.DOTALL)
    return text


def main() -> int:
    """Write the documents; with --check print which are out of date."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit with 1 if out of date"
    )
    check = parser.parse_args().check
    stale = [path for path in DOCUMENTS if filled(path.read_text()) != path.read_text()]
    for path in stale:
        print(f"{path.relative_to(ROOT)} is out of date" if check else path.relative_to(ROOT))
        if not check:
            path.write_text(filled(path.read_text()))
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
