"""The code of docs/export.md, as written: its Python, and its C with a real compiler."""

import re
import shutil
import subprocess

import pytest
from helpers.mnist import ROOT, read_idx

import mnistgpu

PAGE = (ROOT / "docs" / "export.md").read_text(encoding="utf-8")


@pytest.mark.filterwarnings("ignore:.*onnx.*")
def test_the_python_of_the_page(tmp_path, monkeypatch, capsys):
    pytest.importorskip("onnxruntime", reason="onnxruntime is missing")
    monkeypatch.chdir(tmp_path)
    names = {}
    for code in re.findall("```python\n(.*?)```", PAGE, re.DOTALL):
        exec(code, names)
        for said in re.findall(r"# (\[[\d ]+\]|True)$", code, re.MULTILINE):
            assert said in capsys.readouterr().out
    assert (tmp_path / "digits.html").exists()


def test_the_program_in_c(tmp_path):
    if shutil.which("gcc") is None:
        pytest.skip("gcc is missing")
    (code,) = re.findall("```c\n(.*?)```", PAGE, re.DOTALL)
    (tmp_path / "read.c").write_text(code)
    mnistgpu.export("shipped", tmp_path / "digits.h")
    command = ["gcc", "-O0", "-Wall", "-Werror", "read.c", "-lm", "-o", "read"]
    subprocess.run(command, cwd=tmp_path, check=True)
    images = read_idx("t10k-images-idx3-ubyte", 5).tobytes()
    done = subprocess.run([tmp_path / "read"], input=images, capture_output=True, check=True)
    assert done.stdout.split() == [b"7", b"2", b"1", b"0", b"4"]
