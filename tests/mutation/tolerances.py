"""How much of its tolerance does each comparison of the tests use?

As a plugin of pytest it notes this for every assert_allclose, allclose and approx; as a program it
then prints, for each place in the tests, the largest share that was used:

    PYTHONPATH=tests python -m pytest -p mutation.tolerances ...
    python tests/mutation/tolerances.py

A tolerance of which less than a thousandth is used could hardly fail: what is compared may change
much, and no test notices. One of which more than half is used would fail if it were halved. The
largest share of a comparison that was to fail (`not allclose`) is of interest where it is near 1.
"""

import json
import os
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

TESTS = Path(__file__).parents[1]
FILES = "tolerances-{}.jsonl"  # one of each process, in the current directory
used: dict[tuple[str, str], list[float]] = defaultdict(list)
busy = []  # while it computes, comparisons are its own


def place():
    """The line of the tests that compares."""
    frame = sys._getframe(2)
    while frame is not None:
        path = Path(frame.f_code.co_filename)
        if path.is_relative_to(TESTS) and path != Path(__file__):
            return f"{path.relative_to(TESTS.parent)}:{frame.f_lineno}"
        frame = frame.f_back
    return ""


def note(where, words, difference, tolerance):
    """The largest share of the tolerance, over all numbers of two arrays."""
    with np.errstate(all="ignore"):
        shares = np.nan_to_num(np.atleast_1d(difference / tolerance), nan=0.0, posinf=1e300)
    if where and shares.size:
        used[where, words].append(float(shares.max()))


def watched(compare, names):
    """A comparison of NumPy that notes what it uses."""

    def compared(first, second, rtol=names["rtol"], atol=names["atol"], *more, **given):
        if not busy:
            busy.append(True)
            try:
                one, other = np.asarray(first, dtype=float), np.asarray(second, dtype=float)
                allowed = atol + rtol * np.abs(other)
                note(place(), f"rtol={rtol:g} atol={atol:g}", np.abs(one - other), allowed)
            except Exception:  # what no number is, the comparison itself refuses
                pass
            finally:
                busy.pop()
        return compare(first, second, rtol, atol, *more, **given)

    return compared


def pytest_configure():
    np.testing.assert_allclose = watched(np.testing.assert_allclose, {"rtol": 1e-7, "atol": 0.0})
    np.allclose = watched(np.allclose, {"rtol": 1e-5, "atol": 1e-8})
    kind = type(pytest.approx(1.0))
    equal = kind.__eq__

    def compared(self, actual):
        if not busy and np.ndim(actual) == 0:
            busy.append(True)
            try:
                words = f"rel={self.rel} abs={self.abs}"
                note(place(), words, abs(float(self.expected) - float(actual)), self.tolerance)
            except Exception:
                pass
            finally:
                busy.pop()
        return equal(self, actual)

    kind.__eq__ = compared


def pytest_sessionfinish():
    with open(FILES.format(os.getpid()), "w") as file:
        for (where, words), shares in used.items():
            passed = [share for share in shares if share <= 1.0] or shares
            file.write(json.dumps([where, words, max(passed), len(shares)]) + "\n")


def main():
    found = defaultdict(list)
    for path in Path().glob(FILES.format("*")):
        for line in path.read_text().splitlines():
            where, words, share, count = json.loads(line)
            found[where, words].append((share, count))
    rows = [
        (max(share for share, _ in each), where, words, sum(count for _, count in each))
        for (where, words), each in found.items()
    ]
    for share, where, words, count in sorted(rows):
        print(f"{share:10.2e}  {where}  {words}  ({count} comparisons)")


if __name__ == "__main__":
    main()
