"""Every command as on Windows and macOS, see helpers/other_systems.py for what that means here."""

import json
import os
import re
import signal
import sys
import urllib.request

import numpy as np
import pytest
from helpers import processes
from helpers.command import run as run_here
from helpers.mnist import ROOT
from helpers.other_systems import BETWEEN
from helpers.runs import one_sentence, wait_for, write_small_set
from helpers.windows import ENDED_BY_WINDOWS

from mnistgpu.models import model
from mnistgpu.runs import checkpoint

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="pretends on Linux alone")

SYSTEMS = ["windows", "macos"]
SMALL = ("--validation", 100, "--layers", "784-16-10", "--batch-size", 32, "--alpha", 0.1)
SHARED = ("--validation", 100, "--layers", "784-32-10", "--iterations", 20)  # by two processes
SIGHUP, CTRL_BREAK = 1, 21  # by number, since Windows and Linux lack one of them
PHOTO = ROOT / "tests" / "golden" / "photo-7.jpg"
TRAIN = ("mnistgpu.cli", "train")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A folder of digits, with a blank and an umlaut in its name."""
    folder = tmp_path_factory.mktemp("Jörg Müller") / "Ziffern, groß"
    folder.mkdir()
    return write_small_set(folder)


def start(system, *commands, encoding="cp1252", cwd=None):
    """A process of another system that runs commands, each a list of words."""
    words = [word for command in commands for word in (BETWEEN, *map(str, command))][1:]
    return processes.start(
        [sys.executable, "-m", "helpers.other_systems", system, *words],
        cwd=cwd,
        env={
            **os.environ,
            "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}",
            "PYTHONIOENCODING": encoding,
            "PYTHONUNBUFFERED": "1",
            "NO_COLOR": "1",
            "OPENBLAS_NUM_THREADS": "1",  # on macOS nothing here can say so
            "TERM": "dumb",
        },
        encoding=encoding,
    )


def run(system, *commands, **options):
    """The exit status of each command, and all that they printed."""
    output, errors = start(system, *commands, **options).communicate(timeout=120)
    assert "Traceback" not in errors, errors
    return [int(status) for status in re.findall(r"^exit status (\d+)$", output, re.M)], (
        output,
        errors,
    )


@pytest.mark.slow
@pytest.mark.parametrize(("system", "encoding"), [("windows", "cp1252"), ("macos", "utf-8")])
def test_every_command_works(data, tmp_path, system, encoding):
    first, second = "Läufe/one run", "Läufe/two"
    table = "Läufe/antworten für Kaggle.csv"
    commands = [
        (*TRAIN, "--data", data, *SMALL, "--epochs", 2, "--snapshots", "--out", first),
        (*TRAIN, "--data", data, *SHARED, "--out", second),
        (*TRAIN, "--resume", first, "--epochs", 3, "--force"),
        ("mnistgpu.cli", "evaluate", first, "--data", data),
        ("mnistgpu.cli", "plot", first, "--data", data, "--out", "Läufe/für alle.png"),
        ("mnistgpu.cli", "predict", "shipped", PHOTO, "--explain", "Läufe/wärum.png"),
        ("mnistgpu.cli", "submit", first, data / "t10k-images-idx3-ubyte", "--out", table),
        ("mnistgpu.cli", "compare", first, second, "--data", data),
        ("mnistgpu.cli", "committee", first, second, "--data", data, "--out", "Läufe/beide"),
        ("mnistgpu.cli", "evaluate", "Läufe/beide", "--data", data),
        ("mnistgpu.cli", "lr-find", "--data", data, *SMALL, "--steps", 10),
        (*TRAIN, "--data", data, *SMALL, "--epochs", 1),  # in a directory of its own making
        ("mnistgpu.cli", "doctor"),
        ("mnistgpu.cli", "recipes"),
    ]
    statuses, (output, errors) = run(system, *commands, cwd=tmp_path, encoding=encoding)
    assert statuses == [0] * len(commands), errors
    assert not [line for line in errors.splitlines() if "has labels, unlike" not in line]
    assert f"saved in  {first}" in output
    assert re.search(r"photo-7.jpg: 7 ", output)
    assert "ok   gradient on numpy" in output
    assert re.search("^bad", output, re.M) is None
    assert ("8.0 GiB" in output) == (system == "windows")
    names = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert {table, "Läufe/wärum.png", "learning-rates.png", f"{first}/report.html"} <= names
    made = {name for name in names if not re.match("Läufe/|runs/|learning-rates.png", name)}
    assert made == set()
    assert not [name for name in names if name.endswith(".lock") or "/." in name]
    assert ("F_FULLFSYNC" in output) == (system == "macos")
    if system == "macos":
        assert int(re.search(r"F_FULLFSYNC (\d+) times", output)[1]) > 20
    for written in tmp_path.rglob("*.json"):  # in UTF-8, without \r\n
        assert b"\r" not in written.read_bytes()
        json.loads(written.read_text(encoding="utf-8"))
    sources = json.loads((tmp_path / "Läufe/beide/committee.json").read_text("utf-8"))["sources"]
    assert sources == [first, second]
    assert b"\r" not in (tmp_path / first / "history.csv").read_bytes()

    same = run_here("train", "--data", data, *SHARED, "--out", tmp_path / "here")  # by processes
    assert same.returncode == 0, same.stderr
    there, here = (model.load(tmp_path / name).theta for name in (second, "here"))
    np.testing.assert_allclose(there, here, rtol=0, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ["cp1252", "cp437"])
def test_a_console_shows_all_that_is_printed(data, tmp_path, encoding):
    folder = tmp_path / "Zahlen \u0416"  # no character of these consoles
    folder.symlink_to(data)
    commands = [
        (*TRAIN, "--data", folder, *SMALL, "--epochs", 1, "--out", "run"),
        (*TRAIN, "--data", folder, *SMALL, "--epochs", 1, "--out", "run"),
        ("mnistgpu.cli", "predict", "shipped", PHOTO, tmp_path / "\u0416.png"),
        ("mnistgpu.cli", "recipes"),
        ("mnistgpu.cli", "--help"),
        ("mnistgpu.train", "--help"),
    ]
    statuses, (output, errors) = run("windows", *commands, cwd=tmp_path, encoding=encoding)
    assert statuses == [0, 2, 1, 0, 0, 0], errors
    assert "Zahlen \\u0416: 800 training" in output
    assert len(errors.splitlines()) == 2


@pytest.mark.slow
@pytest.mark.parametrize(
    ("system", "number", "status", "name"),
    [
        ("windows", signal.SIGINT, 130, "Ctrl-C"),
        ("windows", CTRL_BREAK, 128 + CTRL_BREAK, "Ctrl-Break"),
        ("macos", SIGHUP, 129, "SIGHUP"),
        pytest.param("macos", signal.SIGINT, 130, "Ctrl-C", marks=pytest.mark.slow),
    ],
)
def test_a_signal_saves_and_the_run_goes_on(data, tmp_path, system, number, status, name):
    path, options = tmp_path / "one run", ("--data", data, *SMALL, "--epochs", 25)
    begin = (*TRAIN, *options, "--out", path, "--checkpoint-every", "0s")
    process = start(system, begin, (*TRAIN, "--resume", path))
    wait_for((path / checkpoint.FILE).exists, process)
    if number != SIGHUP:
        statuses, (_, errors) = run(system, begin)
        assert statuses == [1]
        who = "of another process" if system == "windows" else f"process {process.pid} on "
        assert f"another run ({who}" in one_sentence(errors)
    process.send_signal(number)
    output, errors = process.communicate(timeout=60)
    assert re.findall(r"^exit status (\d+)$", output, re.M) == [str(status), "0"]
    assert process.returncode == status
    sentence = one_sentence(errors)
    assert sentence.startswith(f"stopped by {name} after iteration ")
    shell = {"windows": f'"{path}"', "macos": f"'{path}'"}[system]
    assert sentence.endswith(f"; go on with: mnistgpu train --resume {shell}")
    assert json.loads((path / "results.json").read_bytes())["iterations"] == 625


def test_a_closed_console_saves(data, tmp_path):
    """SIGUSR1 stands for it: as Windows does, it ends the program as soon as that is handled."""
    path = tmp_path / "run"
    options = ("--data", data, *SMALL, "--epochs", 1000, "--checkpoint-every", "1h")
    process = start("windows", (*TRAIN, *options, "--out", path))
    wait_for((path / "settings.json").exists, process)
    line = process.stdout.readline()
    while not line.startswith("iteration"):
        line = process.stdout.readline()
    process.send_signal(signal.SIGUSR1)
    process.communicate(timeout=60)
    assert process.returncode in (ENDED_BY_WINDOWS, 1)  # whichever of them is the first
    assert checkpoint.load(path).taken > 0


@pytest.mark.parametrize("system", SYSTEMS)
def test_the_drawing_page_is_served_until_ctrl_c(system):
    pytest.importorskip("uvicorn", reason="the extra `web` is missing")
    process = start(system, ("mnistgpu.cli", "draw", "--port", 0, "--no-browser"))
    address = re.search(r"http://\S+", process.stdout.readline())[0]
    with urllib.request.urlopen(address, timeout=30) as answer:
        assert b"<canvas" in answer.read()
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (0, "")
    assert "exit status 0" in output


@pytest.mark.slow
def test_a_file_that_a_reader_has_open(data, tmp_path):
    """An image viewer, say: it is waited for, and then one sentence says what to do."""
    train = (*TRAIN, "--data", data, *SMALL, "--epochs", 1, "--out", "run", "--force", "--quiet")
    close_soon = "import threading; threading.Timer(0.3, held.close).start()"
    statuses, (_, errors) = run(
        "windows",
        train,
        ("-c", "import builtins; builtins.held = open('run/report.png', 'rb')"),
        train,
        ("-c", f"{close_soon}"),
        train,
        cwd=tmp_path,
    )
    assert statuses == [0, 0, 1, 0, 0], errors
    sentence = one_sentence(errors)
    assert "report.png: cannot be written" in sentence
    assert "close the programs that have it open" in sentence


@pytest.mark.slow
def test_names_that_windows_forbids_are_one_sentence(data, tmp_path):
    names = ["a?", "a:b", "CON", "com1.txt", "dot.", "blank "]
    train = (*TRAIN, "--data", data, *SMALL, "--epochs", 1, "--quiet", "--out")
    submit = ("mnistgpu.cli", "submit", "shipped", data / "t10k-images-idx3-ubyte", "--out")
    commands = [(*command, name) for name in names for command in (train, submit)]
    statuses, (_, errors) = run("windows", *commands, cwd=tmp_path)
    assert statuses == [1] * 12
    sentences = [line for line in errors.splitlines() if line.startswith("error: ")]
    for name, directory, file in zip(names, sentences[::2], sentences[1::2], strict=True):
        assert f"--out {name}: the directory cannot be made" in directory
        assert f"{name}: cannot be written" in file
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_names_that_differ_by_case_are_one_file(data, tmp_path):
    """On macOS and Windows."""
    train = (*TRAIN, "--data", data, *SMALL, "--quiet")
    images = data / "t10k-images-idx3-ubyte"
    (tmp_path / "Images").write_bytes(images.read_bytes())
    commands = [
        (*train, "--epochs", 1, "--out", "Run"),
        (*train, "--epochs", 1, "--out", "rUN"),
        (*TRAIN, "--resume", "RUN", "--out", "run", "--quiet"),
        (*TRAIN, "--resume", "RUN", "--out", "run", "--epochs", 2, "--force", "--quiet"),
        ("mnistgpu.cli", "submit", "run", "Images", "--out", "IMAGES", "--force"),
        ("mnistgpu.cli", "evaluate", "run", "--data", data),
    ]
    statuses, (_, errors) = run("macos", *commands, cwd=tmp_path)
    assert statuses == [0, 2, 0, 0, 2, 0], errors
    assert "--out rUN: a finished run is there" in errors
    assert "IMAGES: is read, and stays as it is" in errors
    assert sorted(path.name for path in tmp_path.iterdir()) == ["Images", "Run"]
    assert (tmp_path / "Images").read_bytes() == images.read_bytes()
