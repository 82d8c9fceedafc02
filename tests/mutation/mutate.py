"""Change the package in one place at a time, and see whether a test notices.

    python tests/mutation/mutate.py                              25 mutants, drawn by the commit
    python tests/mutation/mutate.py --count 1500 --seed 1 --results mutants.jsonl
    ... --again                                                  those that survived once more
    python tests/mutation/mutate.py --table mutants.jsonl        the table of docs/reliability.md
    python tests/mutation/mutate.py --survivors mutants.jsonl    what no test noticed

Exit status: 1 if fewer than 85% of the mutants that are not equivalent are noticed, beyond what the
chance of the sample explains. README.md says what is done.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import trials
from covering import Covering
from mutants import ROOT, Mutant, digest_of, drawn

EQUIVALENT = Path(__file__).parent / "equivalent.toml"
PROCESSOR = 12  # seconds for the tests of a mutant
NOTICED = ("failed", "late", "crashed")
LEAST = 0.85


class Judge:
    """Tries mutants in copies of the repository, some at a time."""

    def __init__(self, copies: Sequence[trials.Copy], seconds: float) -> None:
        self.copies, self.seconds, self.covering = copies, seconds, Covering.read()
        self.without: dict[tuple[str, ...], trials.End] = {}  # how tests ended without a mutant

    def all(self, mutants: Iterator[Mutant]) -> Iterator[dict]:
        """What became of each mutant, in the order in which their trials end."""
        free, running, again = list(self.copies), {}, []
        while True:
            while free and (mutant := again.pop() if again else next(mutants, None)) is not None:
                if not (tests := self.tests_of(mutant)):
                    yield result_of(mutant, tests, "passed", trials.End("passed", "", 0.0))
                    continue
                copy = free.pop()
                copy.change(mutant.file, mutant.text)
                running[trials.begin(copy, tests, PROCESSOR, self.seconds)] = copy, mutant, tests
            if not running:
                return
            process, _ = os.wait()
            copy, mutant, tests = running.pop(process)
            ended = trials.end(copy)
            copy.restore()
            verdict = self.verdict(copy, tests, ended)
            free.append(copy)
            if verdict is None:
                again.append(mutant)  # without the test that fails in any case
            else:
                yield result_of(mutant, tests, verdict, ended)

    def tests_of(self, mutant: Mutant) -> list[str]:
        """The tests that reach its line, but for those that fail by themselves."""
        found = self.covering.of(mutant.file, mutant.line)
        ended = {test: self.without[test,].status for test in found if (test,) in self.without}
        return [test for test in found if ended.get(test, "passed") == "passed"]

    def verdict(self, copy: trials.Copy, tests: list[str], ended: trials.End) -> str | None:
        """failed, late, crashed, passed, or too slow; None if the test fails without the mutant.

        Each test that notices is tried once without a mutant, and so are tests that take too long.
        A failure counts if the same one does not happen without the mutant.
        """
        if ended.status == "passed":
            return "passed"
        test = ended.test.partition("[")[0]
        tried = (test,) if test in tests else tuple(tests)
        if tried not in self.without:
            process = trials.begin(copy, tried, PROCESSOR, self.seconds)
            os.waitpid(process, 0)
            self.without[tried] = trials.end(copy)
        without = self.without[tried]
        if without.status == "passed":
            return ended.status
        if ended.status == "late":
            return "too slow"
        if (without.status, without.test.partition("[")[0]) != (ended.status, test):
            return ended.status
        return None if test in tests else "passed"


def result_of(mutant: Mutant, tests: Sequence[str], verdict: str, ended: trials.End) -> dict:
    """What is kept of a trial."""
    return {
        **{key: value for key, value in vars(mutant).items() if key != "text"},
        "verdict": verdict,
        "test": ended.test,
        "seconds": round(ended.seconds, 2),
        "tests": len(tests),
    }


def equivalent() -> list[dict[str, str]]:
    """The mutants of which no test could notice anything, each with its reason."""
    return tomllib.loads(EQUIVALENT.read_text(encoding="utf-8"))["mutant"]


def is_listed(result: dict, listed: list[dict[str, str]]) -> bool:
    """Whether a mutant is in the list of equivalent ones, by its file and the changed lines."""
    return any(all(entry[key] == result[key] for key in ("file", "old", "new")) for entry in listed)


def read(path: Path) -> list[dict]:
    """The results in a file, the last one of each mutant, of files that have not changed since."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    results = [json.loads(line) for line in lines]
    now = {file: digest_of(ROOT / file) for file in {each["file"] for each in results}}
    current = [each for each in results if each["digest"] == now[each["file"]]]
    return list({name(each): each for each in current}.values())


def name(result: dict) -> str:
    return f"{result['file']} {result['digest']} {result['operator']} {result['occurrence']}"


def sort_of(result: dict, listed: list[dict[str, str]]) -> str:
    """noticed, equivalent, survived or too slow."""
    if result["verdict"] in NOTICED:
        return "noticed"
    if result["verdict"] == "too slow":
        return "too slow"
    return "equivalent" if is_listed(result, listed) else "survived"


def score(counts: Counter[str]) -> float:
    """The share that is noticed of those that are not equivalent."""
    return counts["noticed"] / max(1, counts["noticed"] + counts["survived"])


def at_best(counts: Counter[str]) -> float:
    """The score that a sample like this reaches once in a thousand times at most (Wilson, 1927)."""
    share, z = score(counts), 3.09
    per = z * z / max(1, counts["noticed"] + counts["survived"])
    half = math.sqrt(per * share * (1 - share) + per * per / 4)
    return (share + per / 2 + half) / (1 + per)


def room(file: str) -> str:
    """The folder of a file in the package, or its name."""
    return file.split("/")[1].removesuffix(".py")


def table(results: list[dict]) -> str:
    """The results of each folder, as a table of Markdown."""
    listed, rooms = equivalent(), {}
    for result in results:
        rooms.setdefault(room(result["file"]), Counter())[sort_of(result, listed)] += 1
    rows = [
        "| part | mutants | noticed | equivalent | survived | score |",
        "|---|---|---|---|---|---|",
    ]
    total: Counter[str] = sum(rooms.values(), Counter())
    for part, counts in [*sorted(rooms.items()), ("all", total)]:
        cells = [counts[key] for key in ("noticed", "equivalent", "survived")]
        counted = counts["noticed"] + counts["survived"] > 0
        row = [part, counts.total(), *cells, f"{100 * score(counts):.1f}%" if counted else ""]
        rows.append("| " + " | ".join(map(str, row)) + " |")
    return "\n".join(rows)


def said(result: dict) -> str:
    """A mutant in some lines."""
    return (
        f"{result['file']}:{result['line']} ({result['operator'].partition('/')[2]}, "
        f"{result['tests']} tests)\n    - {result['old']}\n    + {result['new']}"
    )


def run(asked: argparse.Namespace) -> list[dict]:
    """Try the mutants that are not in the results yet, and add each of them there."""
    seed = asked.seed or trials.commit(ROOT)
    results, listed = read(asked.results) if asked.results else [], equivalent()
    known = results
    if asked.again:
        known = [each for each in results if sort_of(each, listed) != "survived"]
    done = {name(result) for result in known}
    chosen = islice(drawn(seed), asked.count)
    left = (mutant for mutant in chosen if mutant.name not in done)
    with trials.Copies(ROOT, asked.jobs) as copies:
        for result in Judge(copies, asked.seconds).all(left):
            results = [each for each in results if name(each) != name(result)] + [result]
            if asked.results:
                with asked.results.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(result) + "\n")
            if sort_of(result, listed) == "survived":
                print(said(result), flush=True)
    return results


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--count", type=int, default=25, help="mutants in all (default 25)")
    parser.add_argument("--seed", default="", help="of the sample (default: the commit)")
    parser.add_argument("--results", type=Path, help="add results here; what is here is not redone")
    parser.add_argument("--again", action="store_true", help="try those that survived once more")
    parser.add_argument("--jobs", type=int, default=2, help="mutants at a time (default 2)")
    parser.add_argument("--seconds", type=float, default=12.0, help="by the clock, for a mutant")
    parser.add_argument("--table", type=Path, metavar="RESULTS", help="print the table of a file")
    parser.add_argument("--survivors", type=Path, metavar="RESULTS", help="print the survivors")
    asked = parser.parse_args()
    if asked.table or asked.survivors:
        results = read(asked.table or asked.survivors)
        listed = equivalent()
        survived = [said(each) for each in results if sort_of(each, listed) == "survived"]
        print(table(results) if asked.table else "\n".join(sorted(survived)))
        return 0
    trials.prepare()
    results = run(asked)
    counts = Counter(sort_of(result, equivalent()) for result in results)
    print(f"{len(results)} mutants: {dict(counts)}, score {100 * score(counts):.1f}%")
    return 1 if at_best(counts) < LEAST else 0


if __name__ == "__main__":
    sys.exit(main())
