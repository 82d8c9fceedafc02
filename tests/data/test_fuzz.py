"""Fuzzed readers: what fuzzers found before, what they find now, and well-formed files that lie.

`fuzz_readers.py` is the harness; files that broke a reader are kept in regressions/ and read here.
"""

import json
import os
import struct
import subprocess
import sys
from pathlib import Path

import fuzz_readers
import numpy as np
import pytest
from helpers import fuzz_targets

from mnistgpu import network
from mnistgpu.errors import DataError, MnistGpuError, RunError, UsageError
from mnistgpu.models import model
from mnistgpu.runs import checkpoint, history, run_directory
from mnistgpu.runs.checkpointing import parse_every
from mnistgpu.settings import Settings
from mnistgpu.storage import tensor_file

hypothesis = pytest.importorskip("hypothesis", reason="hypothesis is missing")
given, settings, st = hypothesis.given, hypothesis.settings, hypothesis.strategies

RUNS = int(os.environ.get("MNISTGPU_FUZZ_RUNS", "10000"))
EXAMPLES = int(os.environ.get("MNISTGPU_EXAMPLES", "100"))
REGRESSIONS = sorted(fuzz_readers.HERE.glob("regressions/*/*"))


@pytest.mark.parametrize("path", REGRESSIONS, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_what_was_found_stays_found(path, tmp_path):
    fuzz_readers.Judge(path.parent.name, tmp_path)(path.read_bytes())


@pytest.mark.slow
@pytest.mark.parametrize("reader", fuzz_readers.READERS)
@pytest.mark.parametrize("engine", ["mutation", "atheris"])
def test_fuzzed_files(reader, engine, tmp_path):
    if engine == "atheris" and not fuzz_readers.HAS_ATHERIS:
        pytest.skip("atheris is not installed: pip install atheris (Linux, Python 3.11 to 3.13)")
    findings = Path(os.environ.get("MNISTGPU_FINDINGS", tmp_path))  # kept where CI says
    done = fuzz_readers.fuzz(reader, RUNS, engine, findings)
    assert done.returncode == 0, (done.args, done.stderr[-3000:])
    print(reader, engine, done.stdout)
    assert int(done.stdout.split(" files read")[0].split()[-1]) >= RUNS


def read_twice(_):
    raise ValueError("not the project's own error")


def read_too_much(_):
    """Allocates 400 MB more than the highest use so far, since only a new peak is measured."""
    return bytearray(int(fuzz_readers.peak() + 400) * 2**20)


@pytest.mark.slow
@pytest.mark.parametrize("read", [read_twice, read_too_much])
def test_the_judge_sees_a_broken_promise(read, tmp_path, monkeypatch):
    monkeypatch.setitem(fuzz_readers.READERS, "broken", (read, "file"))
    with pytest.raises((ValueError, AssertionError)):
        fuzz_readers.Judge("broken", tmp_path)(b"")


def test_the_judge_sees_a_hang(tmp_path, monkeypatch):
    monkeypatch.setattr(fuzz_readers, "SECONDS", 0.05)
    monkeypatch.setitem(fuzz_readers.READERS, "slow", (lambda path: sum(range(10**7)), "file"))
    with pytest.raises(AssertionError, match="took"):
        fuzz_readers.Judge("slow", tmp_path)(b"")


# Well-formed files whose parts contradict each other

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(2**31 - 2, 2**64)
    | st.floats()
    | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=6,
)
names = st.sampled_from(sorted(Settings().as_dict()))
tame = settings(max_examples=EXAMPLES, deadline=None)


def accepts(read):
    """The result of a reader, or None if it refuses with an error of the project."""
    try:
        return read()
    except MnistGpuError as error:
        refusal = error
    assert str(refusal).isprintable()
    assert refusal.exit_status in (1, 2)
    return None


@tame
@given(st.dictionaries(names | st.text(max_size=5), json_values, max_size=5))
def test_settings_of_any_json(tmp_path_factory, values):
    path = tmp_path_factory.getbasetemp() / "any-settings.json"
    record = {"settings": {**Settings().as_dict(), **values}, "data_digest": "0" * 64}
    path.write_text(json.dumps(record))
    found = accepts(lambda: run_directory.read_record(path))
    if found is not None:
        assert found[0] == Settings(**record["settings"])


@tame
@given(
    st.dictionaries(
        st.sampled_from(
            ["format", "format_version", "layers", "activation", "image_shape", "settings", "more"]
        ),
        st.text(max_size=12)
        | st.sampled_from(["784-10-10", "4-2", "4-2-10", "2x2", "1x4", "relu", "gelu", "{}", "2"]),
        max_size=3,
    ),
    st.sampled_from(["theta", "other"]),
    st.sampled_from([(22,), (11, 2), (22, 1), (), (0,), (21,)]),
    st.sampled_from(["F32", "F64", "I8", "BOOL"]),
    st.sampled_from([0, 0, 0, 1, -1, 8]),
)
def test_models_of_any_texts(texts, name, shape, dtype, surplus):
    """Texts and shapes of any kind under a right digest: only a consistent file is a model."""
    whole = {
        "format": "mnistgpu-model",
        "format_version": "1",
        "layers": "4-2-4",
        "activation": "relu",
        "image_shape": "2x2",
        "settings": "{}",
        "data_digest": "",
        "content_digest": "0" * 64,
        **texts,
    }
    width = {"F32": 4, "F64": 8}.get(dtype, 1)
    numbers = bytes(width * int(np.prod(shape)))
    entry = {"dtype": dtype, "shape": shape, "data_offsets": [0, len(numbers)]}
    header = json.dumps({"__metadata__": whole, name: entry}).encode()
    content = struct.pack("<Q", len(header)) + header + numbers
    content = content[:surplus] if surplus < 0 else content + bytes(surplus)
    genuine, tensor_file.hashlib.sha256 = tensor_file.hashlib.sha256, fuzz_targets.AgreeingDigest
    try:
        found = accepts(lambda: model.from_bytes(content, "a model"))
    finally:
        tensor_file.hashlib.sha256 = genuine
    if found is not None:
        assert surplus == 0
        assert name == "theta"
        assert shape == (network.parameter_count(found.sizes),)
        assert "-".join(map(str, found.sizes)) == whole["layers"]


@tame
@given(st.dictionaries(st.sampled_from([*checkpoint.COUNTS, *checkpoint.NUMBERS]), json_values))
def test_records_of_any_json(changes):
    record = dict.fromkeys(checkpoint.COUNTS, 1) | dict.fromkeys(checkpoint.NUMBERS, 0.5)
    record |= {"best_score": None, "finished": False, **changes}
    texts = {"record": json.dumps(record)}
    found = accepts(lambda: checkpoint.record_of(texts, "a checkpoint"))
    if found is not None:
        assert all(type(found[name]) is int for name in checkpoint.COUNTS)
        assert all(type(found[name]) is float for name in checkpoint.NUMBERS)


@tame
@given(st.text(max_size=12) | st.from_regex(r"[0-9.]{1,6}(s|m|h|epochs?)", fullmatch=True))
def test_any_checkpoint_every(text):
    try:
        every = parse_every(text)
    except UsageError:
        return
    assert every.seconds >= 0
    assert every.epochs is None or every.epochs > 0


# Sizes are believed only as far as the file bears them out


def claim(layers, numbers=16, length=None):
    """A model file whose header claims more than there is."""
    sizes = [int(n) for n in layers.split("-")]
    count = network.parameter_count(sizes)
    texts = {
        "format": "mnistgpu-model",
        "format_version": "1",
        "layers": layers,
        "activation": "relu",
        "image_shape": f"1x{sizes[0]}",
        "settings": "{}",
        "data_digest": "",
        "content_digest": "0" * 64,
    }
    entry = {"dtype": "F32", "shape": [count], "data_offsets": [0, 4 * count]}
    header = json.dumps({"__metadata__": texts, "theta": entry}).encode()
    size = len(header) if length is None else length
    return struct.pack("<Q", size % 2**64) + header + bytes(numbers)


@pytest.mark.parametrize(
    "content",
    [
        claim("784-900000000-10"),
        claim("999999999-999999999"),
        claim("4-2", length=2**64 - 1),
        claim("4-2", length=2**40),
        struct.pack("<Q", 2**20) + b"[" * 2**20,
        struct.pack("<Q", 10) + b'{"a":1,"a"',
        b"\xff" * 2**21,
        b"",
    ],
    ids=range(8),
)
def test_claims_cost_nothing(content):
    before = fuzz_readers.peak()
    with pytest.raises(DataError, match=r"^a model: "):
        model.from_bytes(content, "a model")
    assert fuzz_readers.peak() - before < 30


def test_a_sparse_file_is_hashed_before_it_is_made_room_for(tmp_path):
    """A header that fits a sparse file of 200 MB: only the digest, read in blocks, is wrong."""
    path = tmp_path / "model.safetensors"
    layers = "784-63000-10"
    content = claim(layers, 0)
    path.write_bytes(content)
    os.truncate(path, len(content) + 4 * network.parameter_count((784, 63000, 10)))
    assert path.stat().st_size > 200e6
    before = fuzz_readers.peak()
    with pytest.raises(DataError, match="does not have the digest"):
        model.load(path)
    assert fuzz_readers.peak() - before < 30


READ_A_PICTURE = """
import sys
from pathlib import Path
import fuzz_readers
from helpers import fuzz_targets
before = fuzz_readers.peak()
try:
    fuzz_targets.picture_of(Path(sys.argv[1]))
except fuzz_readers.MnistGpuError as error:
    print(fuzz_readers.peak() - before, error)
"""


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "LA", "RGBA", "I;16", "P+", "L+"])
@pytest.mark.parametrize("side", [3100, 7000, 9000])
def test_a_picture_of_nothing_but_size(mode, side, tmp_path):
    """A few kilobytes that unpack to many megapixels, in a process of its own."""
    from PIL import Image

    Image.MAX_IMAGE_PIXELS, most = None, Image.MAX_IMAGE_PIXELS
    try:
        extra = {"transparency": 0} if mode.endswith("+") else {}
        Image.new(mode.removesuffix("+"), (side, side)).save(tmp_path / "digit.png", **extra)
    finally:
        Image.MAX_IMAGE_PIXELS = most
    done = subprocess.run(
        [sys.executable, "-c", READ_A_PICTURE, str(tmp_path / "digit.png")],
        cwd=fuzz_readers.HERE,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    megabytes, said = done.stdout.split(maxsplit=1)
    assert float(megabytes) < fuzz_readers.MEGABYTES, done.stdout
    assert "no digit found" in said or "million pixels; scale it down" in said
    largest = {"1": 7071, "L": 7071, "RGB": 7071, "P": 5000}.get(mode, 3162)
    assert ("million" in said) == (side > largest)


READ_HISTORIES = """
import sys
from pathlib import Path
import fuzz_readers
from mnistgpu.runs import run_directory
before = fuzz_readers.peak()
for path in map(Path, sys.argv[1:]):
    started = fuzz_readers.time.process_time()
    try:
        print(len(run_directory.read_history(path)["epoch"]), end=" ")
    except fuzz_readers.MnistGpuError:
        print("refused", end=" ")
    assert fuzz_readers.time.process_time() - started < fuzz_readers.SECONDS
print(fuzz_readers.peak() - before)
"""


def test_a_history_of_nothing_but_length(tmp_path):
    """As many rows as a run keeps are read, and no more, in bounded memory."""
    head = ",".join(history.COLUMNS) + "\n"
    most = history.MOST_ROWS
    number = "0.12345678901234567"
    contents = {
        "most": head + (",".join([number] * 8) + "\n") * most,
        "more": head + "0,0,0,0,0,0,0,0\n" * (most + 1),
        "wide": head + "," * (200 * most - len(head)),
        "large": head + "0,0,0,0,0,0,0,0\n" * (200 * most // 16),
        "ends": head + "\r\x0b\u2028" * 3_000_000,
    }
    for name, content in contents.items():
        (tmp_path / name).write_text(content, newline="")
    done = subprocess.run(
        [sys.executable, "-c", READ_HISTORIES, *(str(tmp_path / name) for name in contents)],
        cwd=fuzz_readers.HERE,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    *found, megabytes = done.stdout.split()
    assert found == [str(most), *["refused"] * 4]
    assert float(megabytes) < fuzz_readers.MEGABYTES
    print(f"{megabytes} MB")


def test_what_is_no_file_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "model.safetensors")
    os.mkfifo(tmp_path / checkpoint.FILE)
    os.mkfifo(tmp_path / "settings.json")
    (tmp_path / "history.csv").symlink_to("/dev/zero")
    for read in (
        lambda: model.load(tmp_path),
        lambda: checkpoint.load(tmp_path),
        lambda: run_directory.read_record(tmp_path / "settings.json"),
        lambda: run_directory.read_history(tmp_path / "history.csv"),
    ):
        with pytest.raises(DataError):
            read()


# The format is a public one: the safetensors library reads our files, and our reader its files


def test_the_library_reads_what_we_write(tmp_path):
    from safetensors import safe_open

    theta = np.linspace(-1, 1, 22, dtype=np.float32)
    model.save(model.Model(theta, (4, 2, 4), (2, 2)), tmp_path / "m")
    arrays = {"b": np.ones((2, 3)), "a": np.zeros(5, np.float32), "none": np.zeros((0, 8))}
    tensor_file.write(tmp_path / "t", "a-test", 3, {"note": "ü\n"}, arrays)
    with safe_open(tmp_path / "m", "np") as file:
        assert np.array_equal(file.get_tensor("theta"), theta)
        assert file.metadata()["layers"] == "4-2-4"
    with safe_open(tmp_path / "t", "np") as file:
        for name, array in arrays.items():
            assert np.array_equal(file.get_tensor(name), array)
        assert file.metadata()["note"] == "ü\n"
    assert (tmp_path / "m").read_bytes() == again(tmp_path / "m", theta)


def test_a_model_that_could_not_be_read_is_not_written(tmp_path):
    theta = np.linspace(-1, 1, 22, dtype=np.float32)
    before = again(tmp_path / "m", theta)
    theta[3] = np.nan
    with pytest.raises(RunError, match="not written, because the parameters are not finite"):
        again(tmp_path / "m", theta)
    assert (tmp_path / "m").read_bytes() == before


def again(path, theta):
    model.save(model.Model(theta.copy(), (4, 2, 4), (2, 2)), path)
    return path.read_bytes()


def test_we_read_what_the_library_writes():
    from safetensors.numpy import save

    theta = np.linspace(-1, 1, 22, dtype=np.float32)
    texts = {
        "format": "mnistgpu-model",
        "format_version": "1",
        "layers": "4-2-4",
        "activation": "relu",
        "image_shape": "2x2",
        "settings": "{}",
        "data_digest": "",
    }
    digest = tensor_file.hashlib.sha256(tensor_file.description(texts, {"theta": theta}))
    digest.update(theta.tobytes())
    content = save({"theta": theta}, metadata=texts | {"content_digest": digest.hexdigest()})
    assert np.array_equal(model.from_bytes(content, "theirs").theta, theta)
    with pytest.raises(DataError, match="digest"):
        model.from_bytes(save({"theta": theta}, metadata=texts), "theirs")
