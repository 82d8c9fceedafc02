"""Mutants of the package: small changes of its source, made by the operators of cosmic-ray.

Why the runner is our own, and neither mutmut nor cosmic-ray's. mutmut 3 writes all variants of a
function into its module and forks pytest with one of them chosen: this changes what the tests of
imports, lines and processes look at, leaves out code outside functions, and forks NumPy with its
threads. cosmic-ray runs one command for every mutant: here that is the whole suite, minutes for
each of tens of thousands. Its list of changes fits, so that is taken, with every operator that it
has by default; mutate.py runs the tests that reach the changed line, in a copy of the repository.
"""

import ast
import hashlib
import random
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator, operator_names

ROOT = Path(__file__).parents[2]
SCOPE = (
    *("network.py", "maths", "engine", "runs", "storage", "models", "data"),
    *("reports/submission.py", "web/guard.py", "web/keep.py"),
)
ON_A_GPU = ("engine/gpu/", "engine/products/cublas.py")  # tests/cupy_on_cpu sees what these do


@dataclass(frozen=True)
class Mutant:
    """One change of one place of one file."""

    file: str  # from the root of the repository
    operator: str
    occurrence: int  # of the operator in this file
    line: int  # of the file, from 1
    digest: str  # of the file's text: what the place refers to
    text: str  # of the changed file
    old: str  # the changed lines as they were, without their margins
    new: str  # and as they are

    @property
    def name(self) -> str:
        """The same for the same change of the same file."""
        return f"{self.file} {self.digest} {self.operator} {self.occurrence}"


def modules(root: Path = ROOT) -> list[str]:
    """The files that are mutated, from the root of the repository."""
    package = root / "mnistgpu"
    found = [path for part in SCOPE for path in [package / part, *(package / part).rglob("*.py")]]
    there = [path for path in found if path.suffix == ".py" and path.is_file()]
    names = [path.relative_to(package).as_posix() for path in there]
    return sorted(f"mnistgpu/{name}" for name in names if not name.startswith(ON_A_GPU))


@cache
def operators():
    """Every operator of cosmic-ray that needs no arguments, which are those that it uses itself."""
    kinds = {name: get_operator(name) for name in operator_names()}
    return {name: kind() for name, kind in kinds.items() if not kind.arguments()}


def places(source: str) -> list[tuple[str, int, int]]:
    """What can be changed in a file: operator, its occurrence, line."""
    nodes = list(ast_nodes(get_ast(source)))
    found = []
    for name, operator in operators().items():
        lines = [start[0] for node in nodes for start, _ in operator.mutation_positions(node)]
        found += [(name, occurrence, line) for occurrence, line in enumerate(lines)]
    return found


class WithoutAnnotations(ast.NodeTransformer):
    """Takes the annotations away, which are not evaluated under `from __future__`."""

    def visit_arg(self, node):
        node.annotation = None
        return node

    def visit_AnnAssign(self, node):
        node.annotation = ast.Constant(None)
        return self.generic_visit(node)

    def visit_FunctionDef(self, node):
        node.returns = None
        return self.generic_visit(node)


@cache
def meaning(source: str) -> str | None:
    """What of a source is executed, in a form that can be compared; None if it is no Python."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return None
    if "from __future__ import annotations" in source:
        tree = WithoutAnnotations().visit(tree)
    return ast.dump(tree)


def changed_lines(old: str, new: str) -> tuple[str, str]:
    """The lines in which two texts differ, of each, joined and without margins."""
    before, after = old.splitlines(), new.splitlines()
    shorter = min(len(before), len(after))
    first = next((i for i in range(shorter) if before[i] != after[i]), shorter)
    same = 0
    while same < shorter - first and before[-1 - same] == after[-1 - same]:
        same += 1
    cut = [lines[first : len(lines) - same] for lines in (before, after)]
    before, after = ("\n".join(filter(None, map(str.strip, lines))) for lines in cut)
    return before, after


def mutant(file: str, source: str, place: tuple[str, int, int]) -> Mutant | None:
    """The mutant of this place; None if the change is in annotations alone or is no Python."""
    name, occurrence, line = place
    try:
        text = mutate_code(source, get_operator(name)(), occurrence)
    except AttributeError:  # ExceptionReplacer at a name with a dot in a tuple
        return None
    if text is None or meaning(text) in (None, meaning(source)):
        return None
    digest = digest_of_text(source)
    return Mutant(file, name, occurrence, line, digest, text, *changed_lines(source, text))


def digest_of_text(source: str) -> str:
    """The beginning of the SHA-256 of a file's text."""
    return hashlib.sha256(source.encode()).hexdigest()[:12]


def digest_of(path: Path) -> str:
    """The same of the file at path; "" if it is gone."""
    return digest_of_text(path.read_text(encoding="utf-8")) if path.exists() else ""


def of_a_module(file: str, seed: str, root: Path) -> Iterator[Mutant]:
    """All mutants of a file in the order that the seed gives them."""
    source = (root / file).read_text(encoding="utf-8")
    found = places(source)
    random.Random(f"{seed} {file}").shuffle(found)
    for place in found:
        if (made := mutant(file, source, place)) is not None:
            yield made


def drawn(seed: str, root: Path = ROOT) -> Iterator[Mutant]:
    """All mutants: one of each module in turn, so that every beginning is spread evenly."""
    files = modules(root)
    random.Random(seed).shuffle(files)
    left = [of_a_module(file, seed, root) for file in files]
    while left:
        for each in list(left):
            if (made := next(each, None)) is None:
                left.remove(each)
            else:
                yield made
