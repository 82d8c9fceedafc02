"""The harness tells a mutant that is noticed from one that is not, and its lists are alive."""

import json
import subprocess
import sys
from collections import Counter
from itertools import islice
from pathlib import Path

import pytest

pytest.importorskip("cosmic_ray", reason="cosmic-ray comes with the extra dev")
import covering
import mutants
import mutate

SOURCE = '''"""A module."""

from __future__ import annotations

LIMIT = 3


class Thing:
    size: int | None = 2

    @property
    def half(self) -> int | None:
        if self.size > LIMIT:
            return (
                self.size
                // 2
            )
        return None


def total(numbers: list[int], extra: int = 1) -> int:
    result = extra
    for number in numbers:
        result += number
    return result
'''


def changes(source):
    """The changes of a source, as pairs of lines."""
    made = (mutants.mutant("a.py", source, place) for place in mutants.places(source))
    return [(each.old, each.new) for each in made if each is not None]


def test_the_operators_of_cosmic_ray_change_what_is_executed():
    found = changes(SOURCE)
    assert ("LIMIT = 3", "LIMIT = 4") in [(old, " ".join(new.split())) for old, new in found]
    assert ("@property", "") in found
    assert ("if self.size > LIMIT:", "if self.size < LIMIT:") in found
    assert ("// 2", "% 2") in found
    assert ("for number in numbers:", "for number in []:") in found
    annotations = [new for old, new in found if "-> int | None" in old]
    assert annotations == []  # they are never evaluated


def test_annotations_count_where_python_evaluates_them():
    evaluated = SOURCE.replace("from __future__ import annotations\n", "")
    assert [new for old, new in changes(evaluated) if "-> int | None" in old]


def test_lines_are_found_again_by_function_and_statement():
    where = covering.statements(SOURCE)
    line = {text.strip(): number for number, text in enumerate(SOURCE.splitlines(), 1)}
    assert where[line["// 2"]] == ("Thing.half", "return (")
    assert where[line["if self.size > LIMIT:"]] == ("Thing.half", "if self.size > LIMIT:")
    assert where[line["def half(self) -> int | None:"]] == ("Thing.half", "")
    assert where[line["result += number"]] == ("total", "result += number")
    assert where[line["LIMIT = 3"]] == ("", "")


@pytest.fixture
def repository(tmp_path):
    """A package of one file, and tests of it."""
    (tmp_path / "mnistgpu" / "maths").mkdir(parents=True)
    (tmp_path / "tests" / "maths").mkdir(parents=True)
    (tmp_path / "mnistgpu" / "__init__.py").touch()
    (tmp_path / "mnistgpu" / "maths" / "some.py").write_text(SOURCE)
    (tmp_path / "pyproject.toml").write_text("[tool.pytest.ini_options]\nmarkers = ['slow']\n")
    (tmp_path / "tests" / "maths" / "test_some.py").write_text(
        "from mnistgpu.maths import some\n\n"
        "def test_total():\n    assert some.total([1, 2]) == 4\n\n"
        "def test_half():\n    thing = some.Thing()\n    thing.size = 8\n"
        "    assert thing.half == 4\n"
    )
    return tmp_path


def test_tests_are_those_that_reached_the_line(repository):
    file, test = "mnistgpu/maths/some.py", "tests/maths/test_some.py::test_"
    line = {text.strip(): number for number, text in enumerate(SOURCE.splitlines(), 1)}
    (repository / file).write_text(SOURCE)
    content = {
        "tests": [[f"{test}half", 0.3], [f"{test}total", 0.2], [f"{test}gone", 0.1]],
        "sets": [[0], [1, 2]],
        "files": {file: {"Thing.half": {"": 0}, "total": {"": 1, "return result": 0}}},
    }
    covers = covering.Covering(content, repository)
    assert covers.of(file, line["if self.size > LIMIT:"]) == [f"{test}half"]
    assert covers.of(file, line["result += number"]) == [f"{test}total"]
    assert covers.of(file, line["return result"]) == [f"{test}half"]
    assert covers.of(file, line["LIMIT = 3"]) == [
        f"{test}total",
        f"{test}half",
    ]  # the quickest first


def test_tests_of_a_line_are_few_and_near():
    contexts = {"mnistgpu/network.py": {}}
    source = (mutants.ROOT / "mnistgpu" / "network.py").read_text(encoding="utf-8")
    line = next(n for n, (_, text) in covering.statements(source).items() if text)
    near, far = "tests/core/test_network.py::test_parameter_count", "tests/web/test_web.py::test_{}"
    names = [near, *(far.format(number) for number in range(100))]
    contexts["mnistgpu/network.py"][line] = set(names)
    content = covering.make(contexts, dict.fromkeys(names, 0.05) | {far.format(0): 60.0})
    (kept,) = content["sets"]
    assert len(kept) == covering.MOST
    seconds = [content["tests"][number][1] for number in kept]
    assert sum(seconds) <= covering.SECONDS
    assert content["tests"][kept[0]][0] == near


def test_every_beginning_of_a_sample_is_spread_evenly(repository):
    room = repository / "mnistgpu" / "maths"
    for name in ("second.py", "third.py"):
        (room / name).write_text(SOURCE)
    first = [mutant.file for mutant in islice(mutants.drawn("a", repository), 6)]
    assert sorted(first[:3]) == sorted(first[3:]) == sorted(set(first))
    again, other = (list(mutants.drawn(seed, repository)) for seed in "ab")
    assert [each.name for each in again[:6]] != [each.name for each in other[:6]]
    assert {each.name for each in again} == {each.name for each in other}
    assert [each.name for each in mutants.drawn("a", repository)] == [each.name for each in again]


PROGRAM = """
import json, os, sys
from pathlib import Path
import trials

trials.prepare()
root, file = Path(sys.argv[1]), "mnistgpu/maths/some.py"
tests = ["tests/maths/test_some.py::test_total", "tests/maths/test_some.py::test_half"]
with trials.Copies(root, 1) as (copy,):
    source = (root / file).read_text()
    for old, new in json.load(sys.stdin):
        copy.change(file, source.replace(old, new))
        process = trials.begin(copy, tests, 2, 20)
        os.waitpid(process, 0)
        copy.restore()
        ended = trials.end(copy)
        print(json.dumps([ended.status, ended.test]))
"""
TRIED = [
    (["extra", "extra"], ["passed", ""]),
    (["// 2", "// 3"], ["failed", "tests/maths/test_some.py::test_half"]),
    (["// 2", "// 3 "], ["failed", "tests/maths/test_some.py::test_half"]),
    (["// 2", "// 2 "], ["passed", ""]),  # of the same size as the one before
    (["> LIMIT", ">= LIMIT"], ["passed", ""]),
    (["return result", "while True: pass"], ["late", ""]),
    (["return result", "__import__('os').abort()"], ["crashed", ""]),
    (["LIMIT = 3", "LIMIT = nothing"], ["failed", "tests/maths/test_some.py (not collected)"]),
]


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="trials are made on Linux alone")
def test_a_trial_tells_what_the_tests_notice(repository):
    asked = json.dumps([change for change, _ in TRIED])
    command = [sys.executable, "-c", PROGRAM, str(repository)]
    folder = Path(__file__).parent
    done = subprocess.run(command, input=asked, cwd=folder, text=True, capture_output=True)
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert found == [end for _, end in TRIED]
    assert (repository / "mnistgpu" / "maths" / "some.py").read_text() == SOURCE


def result(file, verdict, old="a", new="b"):
    return {"file": file, "verdict": verdict, "old": old, "new": new}


def test_the_score_is_of_those_that_are_not_equivalent(monkeypatch):
    listed = [{"file": "mnistgpu/network.py", "old": "x", "new": "y", "reason": "the same"}]
    monkeypatch.setattr(mutate, "equivalent", lambda: listed)
    results = [
        *[result("mnistgpu/network.py", verdict) for verdict in ("failed", "late", "passed")],
        *[result("mnistgpu/network.py", "passed", "x", "y")],
        *[result("mnistgpu/runs/stop.py", verdict) for verdict in ("crashed", "too slow")],
    ]
    assert mutate.table(results).splitlines()[2:] == [
        "| network | 4 | 2 | 1 | 1 | 66.7% |",
        "| runs | 2 | 1 | 0 | 0 | 100.0% |",
        "| all | 6 | 3 | 1 | 1 | 75.0% |",
    ]


def test_a_small_sample_fails_only_beyond_chance():
    """Of 25 changes 15 or fewer are too few, of 1,000 those that are 3.5 in a hundred below 85%."""
    assert mutate.at_best(Counter(noticed=15, survived=10)) == pytest.approx(0.8314, abs=5e-5)
    assert mutate.at_best(Counter(noticed=16, survived=9)) > mutate.LEAST
    assert mutate.at_best(Counter(noticed=850, survived=150)) == pytest.approx(0.8816, abs=5e-5)
    assert mutate.at_best(Counter(noticed=810, survived=190)) < mutate.LEAST


def test_what_is_listed_as_equivalent_is_still_there():
    for entry in mutate.equivalent():
        lines = (mutants.ROOT / entry["file"]).read_text(encoding="utf-8").splitlines()
        assert {*entry["old"].splitlines()} <= {line.strip() for line in lines}, entry
        assert entry["reason"]


def test_the_tests_of_the_lines_are_still_there():
    """If many are gone, covering.json is to be made again: README.md says how."""
    content = json.loads(covering.FILE.read_text(encoding="utf-8"))
    there = [covering.is_there(mutants.ROOT, name) for name, _ in content["tests"]]
    assert sum(there) > 0.9 * len(there) > 100
    with_functions = [each for each in mutants.modules() if not each.endswith("__init__.py")]
    known = set(content["files"]) & set(with_functions)
    assert len(known) > 0.9 * len(with_functions)
