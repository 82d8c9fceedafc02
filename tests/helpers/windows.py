"""What Windows lacks, refuses and does otherwise, for `other_systems`."""

import builtins
import ctypes
import enum
import errno
import io
import os
import re
import signal
import sys
import threading
import types
from pathlib import PurePath

from helpers.other_systems import is_ours, stand_in_for_modules
from helpers.unix_names import MODULES

RESERVED = r"(CON|PRN|AUX|NUL|COM[1-9]|LPT[1-9])(\..*)?"
CONSOLE_CLOSED = 2  # CTRL_CLOSE_EVENT
ENDED_BY_WINDOWS = 90  # exit status of a program whose console was closed


class Signals(enum.IntEnum):
    """The signals of Windows. 21 is SIGTTIN on Linux, which a test can send."""

    SIGINT = 2
    SIGILL = 4
    SIGFPE = 8
    SIGSEGV = 11
    SIGTERM = 15
    SIGBREAK = 21
    SIGABRT = 22


def is_forbidden(name):
    """Whether Windows refuses to make a file or a folder of this name, or gives it another one."""
    return (
        re.fullmatch(RESERVED, name, re.IGNORECASE) is not None
        or re.search(r'[<>:"/\\|?*\x00-\x1f]', name) is not None
        or (name not in (".", "..") and name.endswith((".", " ")))
    )


def pretend():
    """Make this process one of Windows, as far as the project's modules can see."""
    locks = lock_as_msvcrt()
    sys.addaudithook(refuse)
    opened = open_as_windows(io.open)
    builtins.open = io.open = opened
    kernel = types.SimpleNamespace(
        SetConsoleCtrlHandler=Console().set_handler, GlobalMemoryStatusEx=tell_memory
    )
    changes = {
        "os": {"name": "nt", "O_BINARY": 0, "read": locks.read},
        "sys": {"platform": "win32"},
        "signal": {"SIGBREAK": Signals.SIGBREAK, "Signals": Signals},
        "socket": {"SO_EXCLUSIVEADDRUSE": KEPT_OFF, "SO_REUSEADDR": -1},
        "ctypes": {
            "WINFUNCTYPE": ctypes.CFUNCTYPE,
            "windll": types.SimpleNamespace(kernel32=kernel),
        },
        "multiprocessing": {"get_context": spawn_alone},
        "platform": {"system": lambda: "Windows", "processor": lambda: "Intel64 Family 6"},
    }
    stand_in_for_modules("windows", changes, MODULES)


def tell_memory(pointer):
    """8 GiB of memory, of which half is free."""
    pointer._obj.total, pointer._obj.free = 2**33, 2**32
    return 1


def spawn_alone(method=None):
    """multiprocessing.get_context without fork."""
    import multiprocessing

    if method not in (None, "spawn"):
        raise ValueError(f"cannot find context for {method!r}")
    return multiprocessing.get_context("spawn")


# Files


def refuse(event, arguments):
    """An audit hook: raise what Windows raises, whoever asks for it."""
    if event in ("os.fork", "os.forkpty"):
        raise OSError(errno.ENOSYS, "Windows has no fork")
    if event == "open" and isinstance(arguments[0], (str, bytes)):
        path, mode, flags = arguments
        path = os.fsdecode(path)
        if mode is None and os.path.isdir(path):  # os.open; tempfile opens no folder that it names
            raise PermissionError(errno.EACCES, "Permission denied", path)
        if flags & os.O_CREAT and not path.startswith("/dev/"):
            check_name(path)
    elif event == "os.mkdir":
        check_name(arguments[0])
    elif event == "os.remove":
        check_closed(arguments[0])
    elif event == "os.rename":
        for path in arguments[:2]:
            check_closed(path)
        check_name(arguments[1])


def check_name(path):
    """OSError for a name that Windows forbids."""
    if is_forbidden(PurePath(os.fsdecode(path)).name):
        raise OSError(errno.EINVAL, "The filename or volume label syntax is incorrect", path)


def check_closed(path):
    """PermissionError for a file that this process has open, or in its memory."""
    try:
        file = os.stat(path)
    except OSError:
        return
    for number in os.listdir("/proc/self/fd"):
        try:
            is_open = os.path.samestat(file, os.fstat(int(number)))
        except OSError:  # the descriptor of the listing itself
            continue
        if is_open:
            raise PermissionError(errno.EACCES, "The file is used by another process", str(path))
    with real_open("/proc/self/maps", encoding="utf-8", errors="replace") as maps:
        if any(line.rstrip("\n").endswith(os.path.realpath(path)) for line in maps):
            raise PermissionError(errno.EACCES, "The file is in memory", str(path))


real_open = io.open


def open_as_windows(real):
    """`open`, which for the project writes cp1252 and \\r\\n if nothing else is asked for."""

    def opened(file, mode="r", buffering=-1, encoding=None, errors=None, newline=None, *more, **by):
        if "b" not in mode and is_ours(sys._getframe(1)):
            encoding = "cp1252" if encoding in (None, "locale") else encoding
            if newline is None and set(mode) & set("wax+"):
                newline = "\r\n"
        return real(file, mode, buffering, encoding, errors, newline, *more, **by)

    return opened


# Locks


class Locks:
    """Locks as those of msvcrt: no other process can read what is locked."""

    def __init__(self):
        self.held = set()

    def locking(self, descriptor, mode, count):
        import fcntl  # here, since a real Windows imports this module too

        if mode == 0:
            fcntl.flock(descriptor, fcntl.LOCK_UN)
            return
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise PermissionError(errno.EACCES, "Permission denied") from None
        self.held.add(os.fstat(descriptor).st_ino)

    def read(self, descriptor, count):
        """os.read, but for a file that another process has locked."""
        import fcntl

        if os.fstat(descriptor).st_ino not in self.held:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                raise PermissionError(errno.EACCES, "Permission denied") from None
            fcntl.flock(descriptor, fcntl.LOCK_UN)
        return os.read(descriptor, count)


def lock_as_msvcrt():
    """Let portalocker lock as on Windows, by an msvcrt made here."""
    import portalocker

    locks = Locks()
    modes = {"LK_UNLCK": 0, "LK_LOCK": 1, "LK_NBLCK": 2, "LK_RLCK": 3, "LK_NBRLCK": 4}
    sys.modules["msvcrt"] = types.SimpleNamespace(locking=locks.locking, **modes)
    for name in [name for name in sys.modules if name.partition(".")[0] == "portalocker"]:
        del sys.modules[name]
    os.name = "nt"
    try:
        import portalocker
    finally:
        os.name = "posix"
        del sys.modules["msvcrt"]  # by which other modules know Windows
    assert portalocker.portalocker.MsvcrtLocker
    return locks


# Ports and consoles

KEPT_OFF = 7  # SO_SNDBUF: any option that can be set


class Console:
    """A console that is closed by SIGUSR1, after which Windows ends the program."""

    def __init__(self):
        self.handlers = []
        signal.signal(signal.SIGUSR1, self.close)

    def set_handler(self, handler, add):
        if add:
            self.handlers.append(handler)
        else:
            self.handlers.remove(handler)

    def close(self, number, frame):
        threading.Thread(target=self.call_handlers, daemon=True).start()

    def call_handlers(self):
        for handler in reversed(self.handlers):
            if handler(CONSOLE_CLOSED):
                break
        os._exit(ENDED_BY_WINDOWS)
