"""Fuzz every reader of files: python tests/fuzz_readers.py [READER ...] [--runs N] [--engine E]

Whatever bytes a file holds, reading it ends in valid data or in the project's own error, within a
second and a bounded amount of memory. Engines: `mutation` edits valid files at random; `atheris`,
if it is installed, also looks which edits reach new lines of the readers and builds on those.
What breaks a reader is kept in tests/regressions/READER, whose files the tests read ever after.
"""

import argparse
import contextlib
import gzip
import importlib.util
import io
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]
HAS_ATHERIS = importlib.util.find_spec("atheris") is not None
RUNS = 10_000
SECONDS = 1.0  # of processor time for one file
MEGABYTES = 300  # more than before the first file
LARGEST = 2**14  # bytes of a file that atheris makes

if HAS_ATHERIS and "atheris" in sys.argv:
    import atheris

    instrumented = atheris.instrument_imports(include=["mnistgpu"])
else:
    instrumented = contextlib.nullcontext()

with instrumented:
    from mnistgpu import data
    from mnistgpu.data import idx, npz, table
    from mnistgpu.errors import MnistGpuError
    from mnistgpu.models import committee, model
    from mnistgpu.pictures import images
    from mnistgpu.runs import checkpoint, run_directory, watching
    from mnistgpu.storage import tensor_file

import numpy as np  # noqa: E402
from helpers.digit_files import csv_bytes, idx_bytes, npz_bytes  # noqa: E402

from mnistgpu.runs.history import Progress, Row  # noqa: E402
from mnistgpu.settings import Settings  # noqa: E402

IMAGES = (np.arange(3 * 28 * 28) % 251).astype(np.uint8).reshape(3, 28, 28)
SMALL = np.ascontiguousarray(IMAGES[:, :4, :3])
LABELS = np.array([7, 0, 9], dtype=np.uint8)


class AgreeingDigest:
    """Stands in for SHA-256, or no edit of a tensor file would get past it."""

    def __init__(self, content=b""):
        pass

    def update(self, content):
        pass

    def hexdigest(self):
        return "0" * 64


def trusting(read):
    """The reader, as if every file had the right digest."""

    def trustingly(path):
        genuine, tensor_file.hashlib.sha256 = tensor_file.hashlib.sha256, AgreeingDigest
        try:
            return read(path)
        finally:
            tensor_file.hashlib.sha256 = genuine

    return trustingly


# What a reader gives must be what it promises


def images_of(path):
    images = idx.read_images(path)
    assert images.dtype == np.uint8
    assert images.ndim == 3
    assert images.size > 0


def labels_of(path):
    labels = idx.read_labels(path, 10)
    assert labels.ndim == 1
    assert labels.max() <= 9


def table_of(path):
    check_digits(table.read(path, 10))


def arrays_of(path):
    for part in ("train", "test"):
        found = npz.read(path, part, 10)
        if found is not None:
            check_digits(found)


def check_digits(found):
    images, labels = found
    assert images.dtype == np.uint8
    assert images.ndim == 3
    if labels is not None:
        assert labels.dtype == np.uint8
        assert labels.max() <= 9


def model_of(path):
    trained = model.load(path)
    assert np.isfinite(trained.theta).all()
    assert trained.probabilities(np.zeros((1, trained.sizes[0]), np.uint8)).shape[1] == 1


def checkpoint_of(path):
    saved = checkpoint.load(path.parent)
    assert all(np.isfinite(vector).all() for vector in saved.vectors.values())
    assert saved.settings.sizes[0] >= saved.pixels


def settings_of(path):
    used, digest = run_directory.read_record(path)
    assert used.as_dict()
    assert len(digest) == 64


def history_of(path):
    columns = run_directory.read_history(path)
    assert len({len(column) for column in columns.values()}) == 1


def committee_of(path):
    assert committee.load(path.parent).members


def snapshots_of(path):
    seen = watching.load(path)
    assert len(seen.rows) == len(seen.units) == len(seen.probabilities) > 0
    assert seen.labels.max() < seen.probabilities[0].shape[1]


def picture_of(path):
    found = images.read_picture(path, many=True)
    assert found.images.dtype == np.uint8
    assert found.images.shape == (len(found.boxes), 784)


READERS = {  # how to read, under which name
    "idx-images": (images_of, "images"),
    "idx-labels": (labels_of, "labels"),
    "csv": (table_of, "digits.csv"),
    "npz": (arrays_of, "digits.npz"),
    "model": (model_of, "model.safetensors"),
    "model-contents": (trusting(model_of), "model.safetensors"),
    "checkpoint": (checkpoint_of, checkpoint.FILE),
    "checkpoint-contents": (trusting(checkpoint_of), checkpoint.FILE),
    "settings": (settings_of, "settings.json"),
    "history": (history_of, "history.csv"),
    "committee": (committee_of, "committee.json"),
    "snapshots": (snapshots_of, watching.FILE),
    "snapshots-contents": (trusting(snapshots_of), watching.FILE),
    "picture": (picture_of, "digit.png"),
}


def seeds(reader, folder):
    """Valid files for a reader, made in a folder."""
    digits = data.Digits(SMALL.reshape(3, 12), LABELS, "digits", (4, 3))
    rows = [Row(i, i / 2, 0.1 * i, 1 / i, 0.5, float("nan"), 0.25, 0.1) for i in (1, 2)]
    used = Settings().changed(
        layers="12-3-10", optimizer="adam", ema=0.9, batch_norm=True, early_stopping=2, epochs=9
    )
    if reader == "idx-images":
        whole = idx_bytes(SMALL)
        return [whole, gzip.compress(whole, mtime=0)]
    if reader == "idx-labels":
        whole = idx_bytes(LABELS)
        return [whole, gzip.compress(whole, mtime=0)]
    if reader == "csv":
        flat = IMAGES.reshape(3, 784)
        return [
            csv_bytes(flat[:2], LABELS[:2]),
            csv_bytes(flat[:1], LABELS[:1], "last", header=False, end="\r\n"),
            csv_bytes(flat[:1]),
        ]
    if reader == "npz":
        arrays = {"x_train": SMALL, "y_train": LABELS, "x_test": SMALL[:1], "y_test": LABELS[:1]}
        return [npz_bytes(**arrays), npz_bytes(True, **arrays)]
    path = folder / "seed"
    if reader.startswith("model"):
        theta = np.linspace(-1, 1, 12 * 3 + 3 + 30 + 10, dtype=np.float32)
        model.save(
            model.Model(theta, (12, 3, 10), (4, 3), "relu", used.as_dict(), digits.digest), path
        )
        files = [path.read_bytes()]
        model.save(model.Model(theta.astype(np.float64), (12, 3, 10), (4, 3)), path)
        files.append(path.read_bytes())
    elif reader.startswith("checkpoint"):
        vector = np.linspace(-1, 1, 11 * 3 + 3 + 30 + 10, dtype=np.float32)
        vectors = dict.fromkeys(("theta", "first", "second", "average"), vector)
        vectors |= {"mean.0": vector[:3, None], "variance.0": vector[-3:, None]}
        vectors["second"] = vector**2
        best = np.zeros(79, np.float32)
        progress = Progress(0.5, 3.0, 10, 40, 1.5, rows, (0.5, -1.0), 1.0, best)
        machine = {"backend": "numpy"}
        saved = checkpoint.Checkpoint(
            used, "digits", digits.digest, machine, 1, 11, 4, vectors, progress
        )
        checkpoint.save(saved, path)
        files = [path.read_bytes()]
    elif reader.startswith("snapshots"):
        units, shares = np.ones((2, 12), np.float32), np.full((3, 10), 0.1, np.float32)
        seen = watching.Snapshots((4, 3), digits.images, LABELS, rows, [units] * 2, [shares] * 2)
        watching.save(seen, path)
        files = [path.read_bytes()]
    elif reader == "settings":
        run_directory.write_record(folder, used.as_dict(), "digits", digits.digest)
        files = [(folder / "settings.json").read_bytes()]
    elif reader == "history":
        run_directory.write_history(path, rows)
        files = [path.read_bytes()]
    elif reader == "committee":
        theta = np.zeros(12 * 3 + 3 + 30 + 10, dtype=np.float32)
        member = model.Model(theta, (12, 3, 10), (4, 3))
        committee.save(committee.Committee((member, member)), folder, ["a", "b"])
        files = [(folder / "committee.json").read_bytes()]
    else:
        from PIL import Image

        drawn = np.full((24, 20, 3), 250, dtype=np.uint8)
        drawn[4:20, 9:12] = 30
        files = []
        for kind in ("PNG", "JPEG", "GIF", "BMP", "WEBP"):
            picture = io.BytesIO()
            Image.fromarray(drawn).save(picture, kind)
            files.append(picture.getvalue())
    if reader.endswith("-contents"):
        digest = rb'"content_digest": "[0-9a-f]{64}"'
        import re

        files = [re.sub(digest, b'"content_digest": "' + b"0" * 64 + b'"', f) for f in files]
    path.unlink(missing_ok=True)
    return files


class Judge:
    """Reads files with one reader, counts, and raises where a promise is broken."""

    def __init__(self, reader, folder):
        self.read, name = READERS[reader]
        self.path = Path(folder) / name
        self.read_count = self.valid = 0
        self.longest = 0.0
        self.start = peak()

    def __call__(self, content):
        self.path.write_bytes(content)
        started = time.process_time()
        try:
            self.read(self.path)
            self.valid += 1
        except MnistGpuError as error:
            text = str(error)
            assert text.isprintable(), text
            assert len(text) < 9000, len(text)
        finally:
            self.read_count += 1
        took = time.process_time() - started
        self.longest = max(self.longest, took)
        assert took < SECONDS, f"took {took:.1f} s"
        assert peak() - self.start < MEGABYTES, f"needs {peak() - self.start:.0f} MB"

    def report(self):
        return (
            f"{self.read_count} files read, {self.valid} of them valid; the longest took "
            f"{1000 * self.longest:.0f} ms; {peak() - self.start:.0f} MB more than before"
        )


def peak():
    """The most memory that this process has had, in megabytes."""
    with open("/proc/self/status", "rb") as file:
        status = file.read()
    return int(status.split(b"VmHWM:")[1].split()[0]) / 1024


NUMBERS = (0, 1, 127, 255, 256, 2**15, 2**31 - 1, 2**31, 2**32 - 1, 2**63, 2**64 - 1)
WORDS = [b"0", b"-1", b"1e999", b"NaN", b"null", b"true", b"[]", b"{}", b'"', b",", b"\n", b"\0"]
WORDS += [b"99999999999999999999", b"\\ud800", b"\xff\xfe", b"[" * 5000, b"9" * 5000, b"0" * 5000]


def mutated(files, chance):
    """A few random edits of one of the files: bits, numbers, words, cuts, copies, splices."""
    edited = bytearray(chance.choice(files))
    for _ in range(chance.choice((1, 1, 1, 2, 4))):
        at = chance.randrange(len(edited) + 1)
        if chance.random() < 0.3:
            at %= 64
        kind = chance.randrange(8)
        size = chance.choice((1, 1, 2, 4, 8, 64))
        if kind == 0 and at < len(edited):
            edited[at] ^= 1 << chance.randrange(8)
        elif kind == 1:
            order = chance.choice(("big", "little"))
            width = chance.choice((1, 2, 4, 8))
            number = chance.choice(NUMBERS) % 256**width
            edited[at : at + width] = number.to_bytes(width, order)
        elif kind == 2:
            edited[at : at + chance.choice((0, 1, 3))] = chance.choice(WORDS)
        elif kind == 3:
            del edited[at : at + size]
        elif kind == 4:
            edited[at:at] = edited[at : at + 10 * size]
        elif kind == 5:
            edited[at:at] = chance.randbytes(size)
        elif kind == 6 and chance.random() < 0.3:
            del edited[at:]
        elif kind == 7 and chance.random() < 0.3:
            other = chance.choice(files)
            edited[at:] = other[chance.randrange(len(other) + 1) :]
    return bytes(edited)


def by_mutation(reader, runs, seed, findings):
    """Read so many mutated files; the first that breaks a promise is kept and raised."""
    with tempfile.TemporaryDirectory(dir=memory()) as name:
        folder = Path(name)
        files, chance = seeds(reader, folder), random.Random(seed)
        judge = Judge(reader, folder)
        for content in files:
            judge(content)
        assert judge.valid == len(files), "the seeds are not valid"
        while judge.read_count < runs + len(files):
            content = mutated(files, chance)
            try:
                judge(content)
            except BaseException:
                keep(findings / reader, content)
                raise
        return judge.report()


def keep(folder, content):
    """Keep a finding under a name that its content gives it."""
    import hashlib

    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"crash-{hashlib.sha256(content).hexdigest()[:16]}").write_bytes(content)


def by_atheris(reader, runs, seed, findings):
    """Read so many files that libFuzzer makes; does not come back."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=memory())))
        corpus = folder / "corpus"
        corpus.mkdir()
        for i, content in enumerate(seeds(reader, folder)):
            (corpus / str(i)).write_bytes(content)
        (findings / reader).mkdir(parents=True, exist_ok=True)
        judge = Judge(reader, folder)

        def test_one_input(content):
            judge(content)
            if judge.read_count >= runs:
                print(judge.report(), flush=True)
                stack.close()
                os._exit(0)

        arguments = [
            f"-seed={seed}",
            f"-max_len={LARGEST}",
            f"-artifact_prefix={findings / reader}/",
        ]
        atheris.Setup([sys.argv[0], *arguments, str(corpus)], test_one_input)
        atheris.Fuzz()


def memory():
    """A directory in memory, where there is one."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


def fuzz(reader, runs, engine, findings, seed=None):
    """Fuzz one reader in a process of its own, whose memory is then its own; the process."""
    seed = random.randrange(1, 2**31) if seed is None else seed
    arguments = [reader, "--runs", runs, "--engine", engine, "--findings", findings]
    return subprocess.run(
        [sys.executable, __file__, "--seed", str(seed), "--here", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=600,
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("readers", nargs="*", metavar="READER", help=", ".join(READERS))
    parser.add_argument("--runs", type=int, default=RUNS)
    parser.add_argument("--engine", choices=("mutation", "atheris"), default="mutation")
    parser.add_argument("--findings", type=Path, default=HERE / "regressions")
    parser.add_argument("--seed", type=int)
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.engine == "atheris" and not HAS_ATHERIS:
        sys.exit("atheris is not installed here: pip install atheris (Linux, Python 3.11 to 3.13)")
    if given.here:
        by = by_mutation if given.engine == "mutation" else by_atheris
        print(by(given.readers[0], given.runs, given.seed, given.findings))
        return
    broken = []
    for reader in given.readers or READERS:
        done = fuzz(reader, given.runs, given.engine, given.findings, given.seed)
        print(f"{reader:<20} {done.stdout.strip() or done.stderr[-2000:]}", flush=True)
        broken += [reader] * (done.returncode != 0)
    if broken:
        sys.exit(f"broken: {', '.join(broken)}; see {given.findings}")


if __name__ == "__main__":
    main()
