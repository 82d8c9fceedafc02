"""Every example of docs/api.md runs, in the order of the page."""

import re
import shutil

import numpy as np
import pytest
from helpers.mnist import ROOT

PAGE = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_examples_run_as_written(tmp_path, monkeypatch, capsys, arrays):
    monkeypatch.chdir(tmp_path)
    shutil.copy(ROOT / "tests" / "golden" / "photo-7.jpg", "photo.jpg")
    header = ",".join(f"pixel{i}" for i in range(784))
    np.savetxt("test.csv", arrays[0][:5].reshape(5, -1), "%d", ",", header=header, comments="")
    monkeypatch.setattr("mnistgpu.commands.doctor.SPEED_SECONDS", 0.01)
    examples = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert len(examples) >= 12
    names = {}
    printed = []
    for example in examples:
        exec(compile(example, "docs/api.md", "exec"), names)
        printed.append(capsys.readouterr().out)
    assert printed[0].endswith("('one', 'two', 'zero') ['zero']\n")
    assert "data      X: grey levels are read as 1 (paper) to 0 (ink)\n" in printed[0]
    assert printed[1].startswith("<Run 784-192-96-10: test accuracy 0.97")
    assert printed[8].splitlines()[-1] == "7"  # load("shipped").read("photo.jpg")
    assert any("the same: the digest is" in text for text in printed)
    assert any("did you mean adam?" in text for text in printed)
    assert "<Digits embedded MNIST, train: 60,000 images of 28x28, labelled>" in "".join(printed)
