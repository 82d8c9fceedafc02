"""Every example of docs/estimator.md runs, in the order of the page."""

import re

import pytest
from helpers.mnist import ROOT

pytest.importorskip("sklearn", reason="scikit-learn is not installed")

PAGE = (ROOT / "docs" / "estimator.md").read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*(guessing|dead)")
def test_the_examples_run_as_written(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    examples, names, printed = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL), {}, []
    assert len(examples) == 6
    for example in examples:
        exec(compile(example, "docs/estimator.md", "exec"), names)
        printed.append(capsys.readouterr().out)
    assert float(printed[0]) > 0.9
    assert printed[1] == "True\n"
    assert printed[2].endswith("(13, 100) (100,)\n")
    assert float(printed[3]) > 0.75
    assert printed[4] == "True\n"
    assert float(printed[5]) > 0.75
