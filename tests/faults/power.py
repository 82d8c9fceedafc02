"""Lose power at every moment of a command, on a disk that keeps only what was flushed.

    python tests/faults/power.py                  every scenario that has a `survives`

A command runs once while faults.c writes down each change of a file. Then power is lost after each
of these changes in turn: what a file was flushed with stays; what was written to it later is there,
not there, half there, or zeros; each change of a folder that was not flushed has happened or has
not, whatever the order. Every such state of the disk is made, and the files in it must hold what
docs/reliability.md promises. (Journals of today's file systems keep more than that.)
"""

import argparse
import itertools
import os
import shutil
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).parent


@dataclass
class Inode:
    """A file's content: what is on the disk, and what was written since."""

    durable: bytes = b""
    now: bytes = b""

    def remains(self):
        """What a crash may leave of it."""
        if self.now == self.durable:
            return (self.now,)
        half = self.now[: len(self.now) // 2]
        return tuple(dict.fromkeys((self.now, self.durable, half, bytes(len(self.now)))))


@dataclass
class Disk:
    """Folders and files: names that are on the disk, and the changes of names since."""

    names: dict = field(default_factory=dict)  # path: Inode, None for a folder
    now: dict = field(default_factory=dict)
    pending: list = field(default_factory=list)  # (folder, change of a dict of names)

    @classmethod
    def of(cls, folder):
        """What lies in a folder, all of it flushed."""
        disk = cls()
        for path in sorted(Path(folder).rglob("*")):
            content = None if path.is_dir() else path.read_bytes()
            disk.names[str(path)] = None if content is None else Inode(content, content)
        disk.now = dict(disk.names)
        return disk

    def change(self, path, how):
        """A change of names in the folder of path, of which `how` makes a dict of names another."""
        how(self.now)
        self.pending.append((os.path.dirname(path), how))

    def create(self, path):
        if path not in self.now:
            inode = Inode()
            self.change(path, lambda names: names.__setitem__(path, inode))

    def mkdir(self, path):
        if path not in self.now:
            self.change(path, lambda names: names.__setitem__(path, None))

    def unlink(self, path):
        if path in self.now:
            self.change(path, lambda names: names.pop(path, None))

    def rename(self, old, new):
        inode = self.now[old]

        def how(names):
            names.pop(old, None)
            names[new] = inode

        self.change(new, how)

    def write(self, path, offset, content):
        inode = self.now.get(path)
        if inode is not None:
            before = inode.now.ljust(offset, b"\0")
            inode.now = before[:offset] + content + before[offset + len(content) :]

    def truncate(self, path, size):
        inode = self.now.get(path)
        if inode is not None:
            inode.now = inode.now[:size].ljust(size, b"\0")

    def fsync(self, path):
        if self.now.get(path) is not None:
            self.now[path].durable = self.now[path].now
            return
        for folder, how in self.pending:  # the names in a folder
            if folder == path:
                how(self.names)
        self.pending = [change for change in self.pending if change[0] != path]

    def crashes(self):
        """Every {path: content, None for a folder} that a power cut may leave now."""
        for happened in itertools.product((False, True), repeat=len(self.pending)):
            names = dict(self.names)
            for (_, how), yes in zip(self.pending, happened, strict=True):
                if yes:
                    how(names)
            files = [path for path, inode in names.items() if inode is not None]
            unsure = [path for path in files if len(names[path].remains()) > 1]
            for contents in itertools.product(*(names[path].remains() for path in unsure)):
                state = {path: inode and inode.durable for path, inode in names.items()}
                yield state | dict(zip(unsure, contents, strict=True))


def changes_in(log):
    """The changes that faults.c has written down: (name, path, more, content)."""
    while head := log.readline():
        name, path, more, size = head.decode().rstrip("\n").split("\t")
        yield name, path, more, log.read(int(size))


def apply(disk, name, path, more, content):
    """Let a change happen on a disk."""
    if name == "write":
        disk.write(path, int(more), content)
    elif name == "truncate":
        disk.truncate(path, int(more))
    elif name == "rename":
        disk.rename(path, more)
    else:
        getattr(disk, name)(path)


def make(state, folder):
    """Lay a state of the disk down in a folder that holds another one."""
    shutil.rmtree(folder)
    folder.mkdir()
    for path, content in sorted(state.items()):
        if not os.path.isdir(os.path.dirname(path)):
            continue  # its folder was lost
        if content is None:
            os.mkdir(path)
        else:
            Path(path).write_bytes(content)


def cut(scenario, report):
    """Lose power everywhere in a scenario; returns (changes, states, what was broken)."""
    from faults.inject import Faults

    faults, seen, wrong, count = Faults(), set(), [], 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "folder"
        folder.mkdir()
        scenario.prepare(folder)
        disk, log = Disk.of(folder), Path(name) / "log"
        process = os.fork()
        if process == 0:
            descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            faults.log(descriptor)
            faults.arm(str(folder).encode(), 0, 0, 0)
            try:
                os._exit(scenario.act(folder)[0])
            finally:
                os._exit(99)
        assert os.waitpid(process, 0)[1] == 0
        scenario.remember(folder)
        with open(log, "rb") as stream:
            for change in [("", "", "", b""), *changes_in(stream)]:
                if change[0]:
                    apply(disk, *change)
                    count += 1
                for state in disk.crashes():
                    key = hash(tuple(sorted((path, hash(text)) for path, text in state.items())))
                    if key in seen:
                        continue
                    seen.add(key)
                    make(state, folder)
                    try:
                        scenario.survives(folder)
                    except Exception as error:
                        wrong.append(
                            f"{scenario.name}, after change {count} ({change[0]} "
                            f"{os.path.basename(change[1])}): {type(error).__name__}: {error}"
                        )
                        report(wrong[-1])
    return count, len(seen), wrong


def main():
    from faults import inject
    from faults.scenarios import CARELESS, SCENARIOS

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO", help=", ".join(SCENARIOS))
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if not given.inside:
        with tempfile.TemporaryDirectory() as folder:
            sys.exit(inject.start(sys.argv[1:], folder, program=__file__).returncode)
    known = {**SCENARIOS, CARELESS.name: CARELESS}
    names = given.scenarios or [name for name in SCENARIOS if hasattr(known[name], "survives")]
    states, broken = 0, 0
    for name in names:
        changes, found, wrong = cut(known[name], report=print)
        states, broken = states + found, broken + len(wrong)
        print(f"{name:<12} {changes} changes, {found} states of the disk, {len(wrong)} wrong")
    print(f"{states} states, {broken} promises broken")
    sys.exit(bool(broken))


if __name__ == "__main__":
    sys.path[:0] = [str(HERE.parent), str(HERE.parents[1])]
    main()
