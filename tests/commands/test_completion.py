"""Completion of the shell, by typer's own: commands and flags, installed on request alone."""

import os
import shutil
import sys

import pytest
from helpers import processes
from helpers.mnist import ROOT

CODE = "import sys; sys.argv[0] = 'mnistgpu'; from mnistgpu.cli import main; main()"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("mnistgpu ev", ["evaluate"]),
        ("mnistgpu train --alp", ["--alpha"]),
        ("mnistgpu train --hidden", ["--hidden-noise", "--hidden-dropout"]),
        ("mnistgpu fly", []),
    ],
)
def test_what_bash_is_offered(words, offered):
    completing = {
        "_MNISTGPU_COMPLETE": "complete_bash",
        "COMP_WORDS": words,
        "COMP_CWORD": str(words.count(" ")),
    }
    done = processes.run(
        [sys.executable, "-c", CODE],
        env=os.environ | completing | {"PYTHONPATH": str(ROOT)},
    )
    assert done.stderr == ""
    assert done.stdout.split() == offered


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
def test_it_is_installed_for_the_shell_in_use(tmp_path):
    done = processes.run(
        ["bash", "-c", f'"{sys.executable}" -c "{CODE}" --install-completion; exit $?'],
        env=os.environ | {"HOME": str(tmp_path), "PYTHONPATH": str(ROOT)},
    )
    assert (done.returncode, done.stderr) == (0, "")
    script = tmp_path / ".bash_completions" / "mnistgpu.sh"
    assert "_MNISTGPU_COMPLETE=complete_bash" in script.read_text()
    assert str(script) in (tmp_path / ".bashrc").read_text()
