"""Flags: converted alike with and without pydantic, with their choices and defaults in the help."""

import re
import subprocess
import sys

import pytest
import typer
from helpers.command import run_here
from typer.core import TyperCommand

from mnistgpu.backend import CHOICES
from mnistgpu.commands.flags import command_from_settings
from mnistgpu.commands.quick import QuickCommand
from mnistgpu.maths.augment import PRESETS
from mnistgpu.recipes import RECIPES
from mnistgpu.train import train


def parsed(cls, *arguments):
    """What `train` is called with for these arguments, or the refusal."""
    calls = []

    def command(**values):
        calls.append(values)

    flags = command_from_settings(train)
    command.__signature__, command.__annotations__ = flags.__signature__, flags.__annotations__
    app = typer.Typer(add_completion=False)
    app.command(cls=cls)(command)
    try:
        app(list(map(str, arguments)), standalone_mode=False)
    except Exception as refusal:
        return re.sub("'[^']*' is not a valid.*|Input should.*", "...", refusal.format_message())
    return calls


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("--iterations", 5, "--alpha", 0.25, "--layers", "784-10-10", "--batch-norm"),
        ("--no-center", "--min-ink", "1e-3", "--seed", 2**62, "--out", "a/b", "--data", "-"),
        ("--recipe", "fast", "--quiet", "--resume", "x y", "--checkpoint-every", "2epochs"),
        ("--alpha", "nan", "--ema", "inf", "--l2", "-1"),
        ("--alpha", "abc"),
        ("--batch-size", "1.5"),
        ("--batch-size", ""),
        ("--nonsense",),
        ("--layers",),
    ],
)
def test_flags_are_converted_as_typer_does(arguments):
    quick, plain = (parsed(cls, *arguments) for cls in (QuickCommand, TyperCommand))
    assert repr(quick) == repr(plain)


def test_help_leaves_out_flags_that_are_always_refused():
    refused = {"distill": ["--teacher", "--unlabeled"], "tune": ["--epochs", "--from", "--freeze"]}
    for command, flags in refused.items():
        shown = run_here(command, "--help").stdout
        assert "--learning-rate" in shown
        assert not [flag for flag in flags if f"{flag} " in shown]


def test_a_run_begins_without_pydantic(tmp_path):
    code = (
        "import sys\nfrom mnistgpu import train\ntry:\n    train.main()\n"
        "finally:\n    print('pydantic' in sys.modules, 'matplotlib' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "--layers", "700-10", "--alpha", "0.5"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert done.stdout == "False False\n"


def flag_help(flag):
    """The text of a flag in the help of train, as one line."""
    lines = [line.strip("│ ") for line in run_here("train", "--help").stdout.splitlines()]
    begin = next(i for i, line in enumerate(lines) if line.startswith(f"{flag} "))
    text = [lines[begin]]
    for line in lines[begin + 1 :]:
        if line.startswith(("--", "╰")):
            break
        text.append(line)
    return " ".join(text)


@pytest.mark.parametrize(
    ("flag", "choices"), [("--recipe", RECIPES), ("--deform", PRESETS), ("--backend", CHOICES)]
)
def test_the_help_lists_the_choices(flag, choices):
    text = flag_help(flag)
    for choice in choices:
        assert re.search(rf"\b{choice}\b", text), (choice, text)


@pytest.mark.parametrize(
    "command", ["train", "lr-find", "sweep", "evaluate", "submit", "committee", "draw"]
)
def test_a_default_takes_no_line_of_its_own(command):
    printed = run_here(command, "--help").stdout
    assert "[default:" not in printed
    assert "Default: " in printed
