"""What helpers/other_systems.py pretends; if it did not, the tests with it would prove nothing."""

import os
import sys

import pytest
from helpers import processes
from helpers.mnist import ROOT
from helpers.windows import is_forbidden

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="pretends on Linux alone")

BOTH = """
import os, sys, time, threading, multiprocessing, signal
assert not hasattr(os, "sched_getaffinity")
refused(ValueError, AssertionError)(lambda: multiprocessing.get_context("fork"))
assert multiprocessing.get_context("spawn")
os.environ["A"] = "b"  # what is left is the real one
assert os.environ["A"] == "b" and os.path.join("a", "b") == "a/b"
"""

WINDOWS = """
import os, sys, signal, socket, mmap
assert (sys.platform, os.name) == ("win32", "nt")
for name in ("fcntl", "resource", "pwd", "grp", "termios"):
    refused(ModuleNotFoundError)(lambda: __import__(name, globals()))
for name in "fork fchmod O_NOFOLLOW O_DIRECTORY sysconf sched_yield getuid WNOHANG".split():
    assert not hasattr(os, name), name
for name in "SIGHUP SIGKILL SIGALRM SIGUSR1 pthread_sigmask pause".split():
    assert not hasattr(signal, name), name
assert not hasattr(mmap, "MAP_SHARED") and not hasattr(socket, "AF_UNIX")
with refusal(ImportError):
    from os import fork
assert signal.Signals(21).name == "SIGBREAK"
with refusal(OSError):
    socket.socket().setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)

refused(PermissionError)(lambda: os.open(".", os.O_RDONLY))
from pathlib import Path
new, old = Path("new"), Path("old")
new.write_text("neü\\n")
assert new.read_bytes() == b"ne\\xfc\\r\\n"  # cp1252, and the ends of lines
assert new.read_text(encoding="utf-8", errors="replace") != new.read_text() == "neü\\n"
refused(UnicodeEncodeError)(lambda: old.write_text("\\u4e00"))
with open(old, "w") as file:
    file.write("\\n")
    refused(PermissionError)(lambda: os.replace(new, old))
    refused(PermissionError)(lambda: old.rename("other"))
    refused(PermissionError)(lambda: old.unlink())
assert old.read_bytes() == b"\\r\\n"
with open(old, "rb") as file:
    mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
refused(PermissionError)(lambda: os.replace(new, old))
mapped.close()
os.replace(new, old)
refused(OSError)(lambda: open("CON", "w"))
refused(OSError)(lambda: os.mkdir("a?"))
refused(OSError)(lambda: os.replace(old, "dot."))
"""

MACOS = """
import os, sys, fcntl, threadpoolctl
from pathlib import Path
assert (sys.platform, os.name) == ("darwin", "posix")
assert threadpoolctl.ThreadpoolController().info() == []
assert not os.path.isdir("/proc/self/fd") and "SC_AVPHYS_PAGES" not in os.sysconf_names
refused(FileNotFoundError)(lambda: Path("/proc/cpuinfo").read_text(encoding="utf-8"))
refused(FileNotFoundError)(lambda: os.listdir("/proc"))
refused(OSError)(lambda: os.fork())
os.mkdir("Folder")
Path("Folder/File").write_text("one", encoding="utf-8")
assert Path("FOLDER/file").read_text(encoding="utf-8") == "one"
os.replace("folder/FILE", "FOLDER/second")
assert os.listdir("fOLDER") == ["second"]
Path("folder/Second").unlink()
assert os.listdir("Folder") == []
with open("FOLDER/third", "wb") as file:
    fcntl.fcntl(file.fileno(), fcntl.F_FULLFSYNC)
"""

HELP = """
import contextlib
@contextlib.contextmanager
def refusal(*kinds):
    try:
        yield
    except kinds:
        return
    raise SystemExit("was not refused")
def refused(*kinds):
    def call(function):
        with refusal(*kinds):
            function()
    return call
"""


@pytest.mark.parametrize(("system", "code"), [("windows", WINDOWS), ("macos", MACOS)])
def test_what_a_system_lacks_and_refuses(tmp_path, system, code):
    done = processes.run(
        [sys.executable, "-m", "helpers.other_systems", system, "-c", HELP + BOTH + code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "exit status 0" in done.stdout
    assert ("F_FULLFSYNC 1 times" in done.stdout) == (system == "macos")


@pytest.mark.parametrize(
    ("name", "forbidden"),
    [
        ("CON", True),
        ("nul.txt", True),
        ("Com1", True),
        ("COM10", False),
        ("console", False),
        ("a:b", True),
        ("a?", True),
        ("tab\t", True),
        ("dot.", True),
        ("blank ", True),
        (".lock", False),
        ("läufe, groß", False),
        ("2026-11-29-042547", False),
    ],
)
def test_names_that_windows_forbids(name, forbidden):
    assert is_forbidden(name) == forbidden
