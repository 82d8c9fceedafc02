"""What macOS lacks, refuses and does otherwise, for `other_systems`."""

import atexit
import builtins
import errno
import io
import os
import sys
import types

from helpers.other_systems import is_ours, stand_in_for_modules

F_FULLFSYNC = 51


def pretend():
    """Make this process one of macOS, as far as the project's modules can see."""
    ignore_case(os.getcwd())
    sys.addaudithook(refuse)
    flushed = []
    atexit.register(lambda: print(f"F_FULLFSYNC {len(flushed)} times"))

    def control(descriptor, command, *arguments):
        assert command == F_FULLFSYNC
        flushed.append(os.fsync(descriptor))

    own_path = types.ModuleType("os.path")
    own_path.__dict__.update(vars(os.path))
    for name in ("exists", "isdir", "isfile", "islink", "lexists"):
        setattr(own_path, name, without_proc(getattr(os.path, name)))
    names = {name: value for name, value in os.sysconf_names.items() if "AVPHYS" not in name}
    changes = {
        "os": {"path": own_path, "sysconf_names": names},
        "sys": {"platform": "darwin"},
        "fcntl": {"F_FULLFSYNC": F_FULLFSYNC, "fcntl": control},
        "multiprocessing": {"get_context": spawn_alone},
        "threadpoolctl": {"ThreadpoolController": no_blas},
        "platform": {"system": lambda: "Darwin", "processor": lambda: "arm"},
    }
    stand_in_for_modules("macos", changes, ())


def spawn_alone(method=None):
    """multiprocessing.get_context without fork, which is not safe on macOS."""
    import multiprocessing

    assert method in (None, "spawn")
    return multiprocessing.get_context("spawn")


def no_blas():
    """What threadpoolctl finds of NumPy on Accelerate: nothing."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController().select(internal_api="accelerate")


def without_proc(ask):
    """A question of os.path, to which nothing in /proc exists."""
    return lambda path: not str(path).startswith("/proc") and ask(path)


def refuse(event, arguments):
    """An audit hook: no fork for all code, no /proc for the project."""
    if event in ("os.fork", "os.forkpty"):
        raise OSError(errno.ENOSYS, "a fork is not safe on macOS")
    if event in ("open", "os.listdir", "os.scandir") and str(arguments[0]).startswith("/proc"):
        if is_ours(sys._getframe(1)):
            raise FileNotFoundError(errno.ENOENT, "No such file or directory", arguments[0])


def ignore_case(root):
    """Let names below `root` that differ by case alone lead to one file, the one that is there."""
    list_names, real_lstat = os.listdir, os.lstat

    def stored(path):
        if isinstance(path, int) or not os.fspath(path):
            return path
        text = os.path.join(root, os.fsdecode(path))
        if not text.startswith(root) or exists_really(text):
            return path
        found = root
        for part in text[len(root) :].strip("/").split("/"):
            whole = os.path.join(found, part)
            if not exists_really(whole) and exists_really(found):
                same = (name for name in names_in(found) if name.lower() == part.lower())
                whole = os.path.join(found, next(same, part))
            found = whole
        return found

    def exists_really(path):
        try:
            real_lstat(path)
        except OSError:
            return False
        return True

    def names_in(folder):
        try:
            return list_names(folder)
        except OSError:
            return []

    def of_one(real):
        return lambda path, *more, **by: real(stored(path), *more, **by)

    def of_two(real):
        return lambda first, second, **by: real(stored(first), stored(second), **by)

    for name in ("open", "stat", "lstat", "mkdir", "unlink", "remove", "access", "rmdir"):
        setattr(os, name, of_one(getattr(os, name)))
    for name in ("rename", "replace"):
        setattr(os, name, of_two(getattr(os, name)))
    real_names, real_entries = os.listdir, os.scandir
    os.listdir = lambda path=".": real_names(stored(path))
    os.scandir = lambda path=".": real_entries(stored(path))
    builtins.open = io.open = of_one(io.open)

    class FileIO(io.FileIO):
        def __init__(self, file, *more, **by):
            super().__init__(stored(file), *more, **by)

    io.FileIO = FileIO
