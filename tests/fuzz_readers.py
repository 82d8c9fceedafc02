"""Fuzz every reader of files: python tests/fuzz_readers.py [READER ...] [--runs N] [--engine E]

Whatever bytes a file holds, reading it ends in valid data or in the project's own error, within a
second and a bounded amount of memory. Engines: `mutation` edits valid files at random; `atheris`,
if it is installed, also looks which edits reach new lines of the readers and builds on those.
Files that break a reader are kept in tests/regressions/READER, which the tests read from then on.
"""

import argparse
import contextlib
import hashlib
import importlib.util
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
SEED = int(os.environ.get("MNISTGPU_SEED", "1"))
SECONDS = 1.0  # of processor time for one file
MEGABYTES = 300  # more than before the first file
LARGEST = 2**14  # bytes of a file that atheris makes

if HAS_ATHERIS and "atheris" in sys.argv:
    import atheris

    instrumented = atheris.instrument_imports(include=["mnistgpu"])
else:
    instrumented = contextlib.nullcontext()

with instrumented:
    from helpers.fuzz_targets import READERS, seeds

    from mnistgpu.errors import MnistGpuError


class Judge:
    """Reads files with one reader, counts them, and raises if one breaks a promise."""

    def __init__(self, reader, folder):
        self.read, name = READERS[reader]
        self.path = Path(folder) / name
        self.read_count = self.valid = 0
        self.longest = self.most = 0.0
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
        needed = peak() - self.start
        self.most = max(self.most, needed)
        assert needed < MEGABYTES, f"needs {needed:.0f} MB"

    def report(self):
        return (
            f"{self.read_count} files read, {self.valid} of them valid; the longest took "
            f"{1000 * self.longest:.0f} ms; {self.most:.0f} MB more than before"
        )


def peak():
    """The most memory that this process has had, in megabytes."""
    with open("/proc/self/status", "rb") as file:
        status = file.read()
    return int(status.split(b"VmHWM:")[1].split()[0]) / 1024


def forget_peak():
    """Let `peak` count anew from the memory of now, which is returned, in megabytes."""
    Path("/proc/self/clear_refs").write_bytes(b"5")
    return peak()


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
    """Read `runs` mutated files; the first that breaks a promise is kept, and its error raised."""
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
    """Keep a finding under a name made from its digest."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"crash-{hashlib.sha256(content).hexdigest()[:16]}").write_bytes(content)


def by_atheris(reader, runs, seed, findings):
    """Read `runs` files that libFuzzer makes, then end the process."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=memory())))
        corpus = folder / "corpus"
        corpus.mkdir()
        for i, content in enumerate(seeds(reader, folder)):
            (corpus / str(i)).write_bytes(content)
        (findings / reader).mkdir(parents=True, exist_ok=True)
        judge = Judge(reader, folder)

        def test_one_input(content):
            judge.start = forget_peak()  # libFuzzer's own memory grows with what it has seen
            judge(content)
            if judge.read_count >= runs:
                print(judge.report(), flush=True)
                stack.close()
                os._exit(0)

        arguments = [
            f"-seed={seed}",
            f"-max_len={LARGEST}",
            f"-artifact_prefix={findings / reader}/",
            "-rss_limit_mb=0",  # it counts the parent's memory too; the judge's count is exact
        ]
        atheris.Setup([sys.argv[0], *arguments, str(corpus)], test_one_input)
        atheris.Fuzz()


def memory():
    """A directory in memory if the system has one, else None."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


def fuzz(reader, runs, engine, findings, seed=SEED):
    """The finished process that fuzzed one reader: its own, so that its memory can be measured."""
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
    parser.add_argument("--seed", type=int, default=SEED)
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
