"""Lines of code in each room of mnistgpu/, without docstrings, comments and blank lines.

Run:  python benchmarks/lines.py [--check]

With --check the exit status is 1 if a room of `LIMITS` has more lines than it may have: what is
there for speed must not outgrow the rest.
"""

from __future__ import annotations

import argparse
import ast
import io
import sys
import tokenize
from pathlib import Path

PACKAGE = Path(__file__).parent.parent / "mnistgpu"
LIMITS = {"engine": 3486, "engine/cpu": 765}  # each with the folders in it
WITH_SUBFOLDERS = ("engine/cpu", "engine/gpu")  # rooms of their own inside a room
NO_CODE = {
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENCODING,
    tokenize.ENDMARKER,
}


def lines_of_code(source: str) -> int:
    """Lines of a Python source on which a token of code stands."""
    lines: set[int] = set()
    docstrings = docstring_lines(ast.parse(source))
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        is_docstring = token.type == tokenize.STRING and token.start[0] in docstrings
        if token.type not in NO_CODE and not is_docstring:
            lines.update(range(token.start[0], token.end[0] + 1))
    return len(lines)


def docstring_lines(tree: ast.Module) -> set[int]:
    """The lines of every docstring: of the module, its classes and its functions."""
    lines: set[int] = set()
    owners = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    for node in ast.walk(tree):
        if isinstance(node, owners) and ast.get_docstring(node, clean=False) is not None:
            lines.update(range(node.body[0].lineno, (node.body[0].end_lineno or 0) + 1))
    return lines


def room_of(module: Path) -> str:
    """The room of a module given relative to the package: a folder, or "" for the top level."""
    folder = module.parent.as_posix()
    return folder if folder in WITH_SUBFOLDERS else folder.split("/")[0].strip(".")


def rooms(package: Path) -> dict[str, tuple[int, int]]:
    """Files and lines of code of each room; `engine` with its folders, which stand below it too."""
    found: dict[str, tuple[int, int]] = {}
    for path in sorted(package.rglob("*.py")):
        lines = lines_of_code(path.read_text(encoding="utf-8"))
        room = room_of(path.relative_to(package))
        for name in dict.fromkeys((room.split("/")[0], room)):
            files, total = found.get(name, (0, 0))
            found[name] = files + 1, total + lines
    return dict(sorted(found.items()))


def over_limit(found: dict[str, tuple[int, int]]) -> list[str]:
    """A sentence for every room that has more lines than its limit."""
    return [
        f"mnistgpu/{room}/ has {found[room][1]:,} lines of code, and may have {limit:,}: make it "
        "shorter, or change LIMITS in benchmarks/lines.py and say why in the commit."
        for room, limit in LIMITS.items()
        if room in found and found[room][1] > limit
    ]


def main() -> int:
    """Print the table; with --check, the exit status says whether the limits are kept."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="exit with 1 if a limit is broken")
    parser.add_argument("--package", type=Path, default=PACKAGE, help="folder to count (mnistgpu)")
    arguments = parser.parse_args()
    found = rooms(arguments.package)
    print(f"{'room':<14} {'files':>5} {'lines':>7} {'limit':>7}")
    for room, (files, lines) in found.items():
        limit = f"{LIMITS[room]:,}" if room in LIMITS else ""
        print(f"{room or '(top level)':<14} {files:>5} {lines:>7,} {limit:>7}".rstrip())
    files, lines = (
        sum(counts[i] for room, counts in found.items() if "/" not in room) for i in (0, 1)
    )
    print(f"{'all':<14} {files:>5} {lines:>7,}")
    broken = over_limit(found)
    for sentence in broken:
        print(sentence, file=sys.stderr)
    return 1 if arguments.check and broken else 0


if __name__ == "__main__":
    sys.exit(main())
