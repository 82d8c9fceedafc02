"""Whether everything says the version that is about to be released.

Run:  python release/check.py [--tag v0.2.0]

The version stands in mnistgpu/__init__.py. What repeats it (the conda recipe, CITATION.cff, the
changelog, the tag) must agree; each that does not is named, and the exit status is 1.
"""

import argparse
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
WHERE = {  # where a released version stands, and how it is found there
    "release/conda/recipe.yaml": r'^  version: "(.+)"$',
    "CITATION.cff": r"^version: (.+)$",
    "CHANGELOG.md": r"^## \[(.+?)\]",
}


def version(root: Path = ROOT) -> str:
    """The version of the package in this folder."""
    text = (root / "mnistgpu" / "__init__.py").read_text(encoding="utf-8")
    return re.search(r'^__version__ = "(.+)"$', text, re.MULTILINE)[1]


def problems(root: Path, tag: str | None) -> list[str]:
    """A sentence for each place that does not say the version of the package."""
    expected, found = version(root), []
    for name, pattern in WHERE.items():
        there = re.search(pattern, (root / name).read_text(encoding="utf-8"), re.MULTILINE)
        says = there[1] if there else "nothing"
        if says != expected:
            found.append(f"{name} says {says}, and mnistgpu/__init__.py says {expected}")
    if tag is not None and tag != f"v{expected}":
        found.append(f"the tag is {tag}, and must be v{expected}")
    return found


def main() -> int:
    """Print what does not agree; 1 if something does not."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tag", help="the tag that is being released")
    found = problems(ROOT, parser.parse_args().tag)
    for problem in found:
        print(f"error: {problem}", file=sys.stderr)
    if not found:
        print(f"everything says {version()}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
