"""Which tests reach a line: covering.json, which is made from a run of the tests under coverage.

    coverage run -m pytest -p mutation.contexts ... && python tests/mutation/covering.py

README.md has the whole command. Lines are found again by the function they are in and by their
text, so that the file stays of use when other lines change. "" stands for most lines of a function,
and for new ones. What runs when a module is imported has tests of all its functions, or if it has
none of its folder.
"""

import ast
import json
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from functools import cache
from itertools import chain
from pathlib import Path

ROOT = Path(__file__).parents[2]
FILE = Path(__file__).parent / "covering.json"
SECONDS = 9.0  # of processor time, for the tests of one line
MOST = 60  # tests of one line


def statements(source: str) -> dict[int, tuple[str, str]]:
    """For each line of a source its function (such as "Run.write") and the text of its statement.

    Of a statement of several lines it is the first one. The line of a `def`, and what is in no
    function, has no text: it runs when the module is imported.
    """
    lines, found = source.splitlines(), {}

    def visit(node: ast.AST, names: tuple[str, ...], inside: bool) -> None:
        for child in ast.iter_child_nodes(node):
            own, within = names, inside
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                own = (*names, child.name)
                within = not isinstance(child, ast.ClassDef)
                first = min([child.lineno, *(each.lineno for each in child.decorator_list)])
                for line in range(first, (child.end_lineno or first) + 1):
                    found[line] = ".".join(own) if within else "", ""
            elif isinstance(child, ast.stmt | ast.ExceptHandler):
                for line in range(child.lineno, (child.end_lineno or child.lineno) + 1):
                    text = lines[child.lineno - 1].strip() if inside else ""
                    found[line] = ".".join(names) if inside else "", text
            visit(child, own, within)

    visit(ast.parse(source), (), False)
    return found


class Covering:
    """The tests of each line, with the seconds that each takes."""

    def __init__(self, content: dict, root: Path = ROOT) -> None:
        self.tests = [(name, seconds) for name, seconds in content["tests"]]
        self.sets, self.files, self.root = content["sets"], content["files"], root

    @classmethod
    def read(cls, path: Path = FILE, root: Path = ROOT) -> "Covering":
        return cls(json.loads(path.read_text(encoding="utf-8")), root)

    def of(self, file: str, line: int) -> list[str]:
        """The tests that reach a line of a file and are still there, the quickest first."""
        source = (self.root / file).read_text(encoding="utf-8")
        function, text = statements(source).get(line, ("", ""))
        functions = self.files.get(file, {})
        if function in functions:
            texts = functions[function]
            numbers = self.sets[texts.get(text, texts[""])]
        elif functions:
            usual = dict.fromkeys(texts[""] for texts in functions.values())
            numbers = within_limits(spread(self.sets[number] for number in usual), self.tests)
        else:  # a module without functions: tests of its folder
            near = [(nearness(test, file), number) for number, (test, _) in enumerate(self.tests)]
            numbers = within_limits(
                [number for rank, number in sorted(near) if rank < 4], self.tests
            )
        ordered = sorted(numbers, key=lambda number: self.tests[number][1])
        names = [self.tests[number][0] for number in ordered]
        return [name for name in names if is_there(self.root, name)]


def spread(lists: Iterable[list[int]]) -> Iterator[int]:
    """The first of each list, then the second of each, and so on, none twice."""
    rows, seen = [list(each) for each in lists], set()
    for place in range(max(map(len, rows), default=0)):
        for row in rows:
            if place < len(row) and row[place] not in seen:
                seen.add(row[place])
                yield row[place]


@cache
def functions_of(path: Path) -> frozenset[str]:
    """The names of the tests of a file, none if it is gone."""
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"))
    except OSError:
        return frozenset()
    return frozenset(node.name for node in tree.body if isinstance(node, ast.FunctionDef))


def is_there(root: Path, test: str) -> bool:
    """Whether a test, as file::function, is in the repository."""
    file, _, function = test.partition("::")
    return function in functions_of(root / file)


def within_limits(numbers: Iterable[int], tests: list[tuple[str, float]]) -> list[int]:
    """As many of these tests as are few and quick enough, at least one."""
    chosen, spent = [], 0.0
    for number in numbers:
        if chosen and (spent + tests[number][1] > SECONDS or len(chosen) == MOST):
            continue
        chosen.append(number)
        spent += tests[number][1]
    return chosen


# How the file is made


def nearness(test: str, file: str, root: Path = ROOT) -> int:
    """1 for the tests that name a module, 2 for others of its folder, 4 for all others."""
    folder, module = file.removeprefix("mnistgpu/").removesuffix(".py").rpartition("/")[::2]
    path = root / test.partition("::")[0]
    if re.search(rf"\b{module}\b", imports_of(path)):
        return 1
    return 2 if path.parent.name == (folder.partition("/")[0] or "core") else 4


@cache
def imports_of(path: Path) -> str:
    """The imports of a file, none if it is gone."""
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    return "\n".join(re.findall(r"^\s*(?:from|import) .*(?:\n {4}.*)*", text, re.MULTILINE))


def chosen(names: set[str], file: str, seconds: dict[str, float]) -> tuple[str, ...]:
    """The tests to keep for a line that these reach: quick ones and ones of its own module."""
    known = [name for name in names if name in seconds]
    known.sort(key=lambda name: ((0.02 + seconds[name]) * nearness(name, file), name))
    tests = [(name, seconds[name]) for name in known]
    return tuple(known[number] for number in within_limits(range(len(known)), tests))


def make(contexts: dict[str, dict[int, set[str]]], seconds: dict[str, float]) -> dict:
    """The content of the file: for each file, function and statement the number of a set of tests.

    contexts: for each file and line the tests that reach it.
    """
    sets: dict[tuple[str, ...], int] = {}
    files: dict[str, dict[str, dict[str, int]]] = {}
    for file, lines in sorted(contexts.items()):
        reached: dict[tuple[str, str], set[str]] = defaultdict(set)
        where = statements((ROOT / file).read_text(encoding="utf-8"))
        for line, tests in lines.items():
            function, text = where.get(line, ("", ""))
            if text:
                reached[function, text] |= tests
        numbers: dict[str, dict[str, int]] = defaultdict(dict)
        for (function, text), tests in sorted(reached.items()):
            if kept := chosen(tests, file, seconds):
                numbers[function][text] = sets.setdefault(kept, len(sets))
        for function, texts in numbers.items():
            usual = Counter(texts.values()).most_common(1)[0][0]
            others = {text: number for text, number in texts.items() if number != usual}
            files.setdefault(file, {})[function] = {"": usual, **others}
    names = sorted(set(chain.from_iterable(sets)))
    number = {name: i for i, name in enumerate(names)}
    return {
        "tests": [[name, round(seconds[name], 3)] for name in names],
        "sets": [[number[name] for name in each] for each in sets],
        "files": files,
    }


def read_contexts(data: Path, files: Iterable[str]) -> dict[str, dict[int, set[str]]]:
    """For each of these files and each line the tests that ran it, from a file of coverage."""
    from coverage import CoverageData

    measured, found = CoverageData(str(data)), {}
    measured.read()
    for path in measured.measured_files():
        name = "mnistgpu/" + path.replace("\\", "/").rpartition("/mnistgpu/")[2]
        if name in files:
            lines = measured.contexts_by_lineno(path)
            tests = {line: {each for each in names if each} for line, names in lines.items()}
            found[name] = {line: names for line, names in tests.items() if names}
    return found


def read_seconds(data: Path) -> dict[str, float]:
    """The processor seconds of each test that is not slow, all its cases together."""
    seconds: dict[str, float] = defaultdict(float)
    for path in data.parent.glob(f"{data.name}-times-*.jsonl"):
        for line in path.read_text().splitlines():
            noted = json.loads(line)
            if not noted["slow"]:
                seconds[noted["test"]] += noted["seconds"]
    return seconds


def main() -> None:
    from mutants import modules

    data = Path(sys.argv[1] if len(sys.argv) > 1 else ".coverage").resolve()
    content = make(read_contexts(data, modules()), read_seconds(data))
    dumped = {key: json.dumps(value, separators=(",", ":")) for key, value in content.items()}
    files = ",\n".join(
        f"{json.dumps(file)}:{json.dumps(each, separators=(',', ':'))}"
        for file, each in content["files"].items()
    )
    dumped["files"] = "{\n" + files + "\n}"
    body = ",\n".join(f"{json.dumps(key)}:{text}" for key, text in dumped.items())
    FILE.write_text("{" + body + "}\n", encoding="utf-8")
    print(
        f"{len(content['tests'])} tests, {len(content['sets'])} sets, {FILE.stat().st_size} bytes"
    )


if __name__ == "__main__":
    main()
