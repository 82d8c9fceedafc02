"""Files that people write: what is wrong in them is said with its line."""

from pathlib import Path

import pytest

from mnistgpu.errors import DataError
from mnistgpu.storage.named_values import line_of, parsed

TOML = """\
alpha = 0.1
  "seed" = 7

[data]
alpha = 0.2
[[run]]
layers = "784-10"
  [[run]]  # the second
  'epochs' = 3
alpha= 0.3
[last]"""


@pytest.mark.parametrize("name", ["it.json", "it.JSON"])
def test_json_is_read_by_its_ending(name):
    assert parsed(Path(name), '{"alpha": [1, null]}') == {"alpha": [1, None]}


def test_every_other_file_is_toml():
    found = parsed(Path("it.toml"), TOML)
    assert (found["alpha"], found["seed"], found["run"][1]["epochs"]) == (0.1, 7, 3)


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("it.json", '{"a": 1,\n"b" 2}', "it.json, line 2: not valid JSON (Expecting ':' delimite"),
        ("it.json", "[" * 100_000, "it.json: not valid JSON (maximum recursion depth exceeded"),
        ("it.toml", "a = 1\nb = 2\nc = = 3\n", "it.toml, line 3: not valid TOML (Invalid value)"),
        ("it.toml", "a = 1\na = [", "it.toml: not valid TOML (Invalid value); correct it"),
    ],
)
def test_what_is_not_valid_is_said_with_its_line(name, text, sentence):
    with pytest.raises(DataError) as caught:
        parsed(Path(name), text)
    assert str(caught.value).startswith(sentence)


def test_a_long_name_that_is_wrong_is_cut():
    name = "a" * 300
    with pytest.raises(DataError) as caught:
        parsed(Path("it.toml"), f"[{name}]\n[{name}]\n")
    reason = f"Cannot declare ('{name}',) twice"[:200]
    assert str(caught.value) == f"it.toml, line 2: not valid TOML ({reason}); correct it"


@pytest.mark.parametrize(
    ("name", "where", "line"),
    [
        ("alpha", {}, 1),
        ("seed", {}, 2),
        ("alpha", {"table": "data"}, 5),
        ("layers", {"table": "run"}, 7),
        ("epochs", {"table": "run", "number": 2}, 9),
        ("alpha", {"table": "run", "number": 2}, 10),
        ("none", {"table": "data"}, 4),
        ("layers", {"table": "data"}, 4),  # which is in another table
        ("alpha", {"table": "run"}, 6),
        ("layers", {"table": "run", "number": 2}, 8),
        ("alpha", {"table": "last"}, 11),
        ("alpha", {"table": "none"}, 1),
        ("alpha", {"table": "run", "number": 3}, 1),
    ],
)
def test_the_line_of_a_name_in_toml(name, where, line):
    assert line_of(Path("it"), TOML, name, **where) == f"it, line {line}"
    assert line_of(Path("it"), f"\n{TOML}", name, **where) == f"it, line {line + 1}"


def test_the_line_of_a_name_in_json():
    text = '{"alpha": 1,\n  "a\\"b" : 2,\n\t"epochs": 3}'
    found = [line_of(Path("it"), text, name) for name in ("alpha", 'a"b', "epochs", "seed")]
    assert found == ["it, line 1", "it, line 2", "it, line 3", "it"]
