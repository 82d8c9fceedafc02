"""What one system alone has is named in two modules alone, and text has an encoding everywhere."""

import ast
import re

import pytest
from helpers.mnist import ROOT
from helpers.unix_names import MODULES, is_missing

PACKAGE = ROOT / "mnistgpu"
FOR_SYSTEMS = ("storage/system.py", "storage/terminal.py")
SOURCES = sorted(PACKAGE.rglob("*.py"))
OTHERS = [path for path in SOURCES if path.relative_to(PACKAGE).as_posix() not in FOR_SYSTEMS]
PLACES = re.compile(r"(?<![\w./])/(proc|dev|sys|tmp|etc|var|bin|usr)(/|\b)")
TEXT = ("read_text", "write_text")


def names_of_one_system(source):
    """What in a source only some systems have, or says which system this is."""
    found, modules = [], {}
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            for each in node.names:
                modules[each.asname or each.name] = each.name
                if each.name.partition(".")[0] in MODULES:
                    found.append(each.name)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [each.name for each in node.names]
            found += [node.module] * (node.module in MODULES)
            found += [name for name in names if is_of_one_system(node.module, name)]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            module = modules.get(node.value.id, "")
            if is_of_one_system(module, node.attr):
                found.append(f"{module}.{node.attr}")
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            if PLACES.search(node.value) or node.value in ("win32", "darwin", "nt", "fork"):
                found.append(node.value)
    return found


def is_of_one_system(module, name):
    """Whether Windows or macOS lacks a name of a module, or it says which system this is."""
    asks = (module, name) in {("os", "name"), ("sys", "platform"), ("platform", "system")}
    return asks or is_missing("windows", module, name) or is_missing("macos", module, name)


def without_encoding(source):
    """The lines on which a text is read or written in the encoding of the system."""
    lines = []
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        function, given = node.func, {each.arg for each in node.keywords}
        is_attribute = isinstance(function, ast.Attribute)
        name = function.attr if is_attribute else getattr(function, "id", "")
        first = name == "read_text" and len(node.args) > 0
        second = name == "write_text" and len(node.args) > 1
        if name in TEXT and "encoding" not in given and not first and not second:
            lines.append(node.lineno)
        of_module = not is_attribute or getattr(function.value, "id", "") in ("io", "path", "file")
        modes = [*node.args[:2], *(each.value for each in node.keywords if each.arg == "mode")]
        binary = any("b" in str(getattr(mode, "value", "")) for mode in modes)
        if name in ("open", "fdopen", "TextIOWrapper") and of_module and not binary:
            lines += [node.lineno] * ("encoding" not in given)
    return lines


@pytest.mark.parametrize("path", OTHERS, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_no_other_module_names_what_a_system_lacks(path):
    assert names_of_one_system(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_texts_are_read_and_written_in_a_named_encoding(path):
    assert without_encoding(path.read_text(encoding="utf-8")) == []


def test_the_modules_for_systems_are_there_and_name_such_things():
    for name in FOR_SYSTEMS:
        assert names_of_one_system((PACKAGE / name).read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import fcntl", ["fcntl"]),
        ("def f():\n    from os import getuid", ["getuid"]),
        ("import os\nos.fork()", ["os.fork"]),
        ("import os as system\nsystem.O_NOFOLLOW", ["os.O_NOFOLLOW"]),
        ("import signal\nsignal.SIGKILL", ["signal.SIGKILL"]),
        ("import os\nos.name == 'posix'", ["os.name"]),
        ("import sys\nsys.platform", ["sys.platform"]),
        ("open('/proc/cpuinfo', 'rb')", ["/proc/cpuinfo"]),
        ("f'make {1} /dev/shm larger'", [" /dev/shm larger"]),
        ("get_context('fork')", ["fork"]),
        ("import os\nos.replace('a', 'b')\nos.O_RDONLY\n'784/10/dev'", []),
    ],
)
def test_names_of_one_system_are_found(source, found):
    assert names_of_one_system(source) == found


@pytest.mark.parametrize(
    ("source", "lines"),
    [
        ("open('a')", [1]),
        ("open('a', 'w')", [1]),
        ("path.open()", [1]),
        ("path.read_text()", [1]),
        ("path.write_text('a')", [1]),
        ("io.TextIOWrapper(stream)", [1]),
        ("open('a', 'rb')\nopen('a', mode='wb')\nopen('a', encoding='utf-8')", []),
        ("path.read_text('utf-8')\npath.write_text('a', encoding='utf-8')\narchive.open(a)", []),
    ],
)
def test_texts_without_an_encoding_are_found(source, lines):
    assert without_encoding(source) == lines
