"""No module imports itself by way of other ones, not even through the package's `__init__.py`.

The contracts in pyproject.toml (`lint-imports`) say which room may import which; they compare the
children of a package with each other, and so miss a circle between a package and its own module.
"""

import pytest

grimp = pytest.importorskip("grimp", reason="grimp comes with import-linter: pip install '.[dev]'")


def circles(graph):
    """Every set of modules that import each other in a circle: strongly connected components.

    Tarjan's algorithm (1972); a module alone is a component, and no circle.
    """
    index, lowest, stack, found = {}, {}, [], []

    def visit(module):
        index[module] = lowest[module] = len(index)
        stack.append(module)
        for imported in sorted(graph.find_modules_directly_imported_by(module)):
            if imported not in index:
                visit(imported)
                lowest[module] = min(lowest[module], lowest[imported])
            elif imported in stack:
                lowest[module] = min(lowest[module], index[imported])
        if lowest[module] == index[module]:
            place = stack.index(module)
            component = sorted(stack[place:])
            del stack[place:]
            if len(component) > 1:
                found.append(component)

    for module in sorted(graph.modules):
        if module not in index:
            visit(module)
    return found


def test_no_modules_import_each_other_in_a_circle():
    assert circles(grimp.build_graph("mnistgpu", cache_dir=None)) == []


FILES = {
    "__init__.py": "",
    "bottom.py": "",
    "left.py": "from planted import bottom\n",
    "right.py": "from planted import bottom, left\n",
    "room/__init__.py": "",
    "room/one.py": "from planted import left\n",
    "room/two.py": "from planted.room import one\n",
}
PLANTED = {
    "nothing": ({}, []),
    "two modules": (
        {"left.py": "from planted import right\n"},
        [["planted.left", "planted.right"]],
    ),
    "in a function": (
        {"bottom.py": "def later():\n    from planted import right\n"},
        [["planted.bottom", "planted.left", "planted.right"]],
    ),
    "for types alone": (
        {
            "left.py": "from typing import TYPE_CHECKING\n"
            "if TYPE_CHECKING:\n    from planted.room.two import Thing\n"
        },
        [["planted.left", "planted.room.one", "planted.room.two"]],
    ),
    "a package and its module": (
        {
            "room/__init__.py": "from planted.room.one import name\n",
            "room/one.py": "from planted.room import other\n",
        },
        [["planted.room", "planted.room.one"]],
    ),
}


@pytest.mark.parametrize(("changes", "expected"), PLANTED.values(), ids=PLANTED.keys())
def test_a_planted_circle_is_found(tmp_path, monkeypatch, changes, expected):
    for name, code in (FILES | changes).items():
        path = tmp_path / "planted" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    assert circles(grimp.build_graph("planted", cache_dir=None)) == expected
