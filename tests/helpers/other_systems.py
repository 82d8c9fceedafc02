"""The command line as on Windows or macOS, on Linux.

    python -m helpers.other_systems windows mnistgpu.cli train --out run ++ mnistgpu.cli plot run

runs the commands one after the other (++ is between them) and prints the exit status of each. A
command of `-c CODE` is Python that runs as a module of the project.

What the other system lacks is missing from the project's modules, not from the standard library and
other packages, which have their own ways for each system. What the other system refuses is refused
to all code of this process. `windows.py` and `macos.py` say what that is.
"""

import builtins
import importlib
import sys
import types

from helpers.unix_names import MISSING, is_missing

BETWEEN = "++"


class StandIn(types.ModuleType):
    """A module of the standard library as another system has it: with changes, and names missing.

    Everything else is read from the real module and written to it.
    """

    def __init__(self, real, system, changes):
        own = {"_real": real, "_system": system, "_changes": changes}
        self.__dict__.update(own | {"__name__": real.__name__})

    def __getattr__(self, name):
        if name in self._changes:
            return self._changes[name]
        if is_missing(self._system, self._real.__name__, name):
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r} there")
        return getattr(self._real, name)

    def __setattr__(self, name, value):
        setattr(self._real, name, value)


def is_ours(frame):
    """Whether code of the project runs in this frame, or has called pathlib, which does."""
    while frame and frame.f_globals.get("__name__", "").partition(".")[0] in ("pathlib", "helpers"):
        frame = frame.f_back
    return bool(frame) and frame.f_globals.get("__name__", "").partition(".")[0] == "mnistgpu"


def stand_in_for_modules(system, changes, gone):
    """Let the project's imports find modules with `changes` by name, and none of those `gone`."""
    real_import, made = builtins.__import__, {}

    def stand_in(module):
        name = module.__name__
        if name not in changes and name not in MISSING[system]:
            return module
        if name not in made:
            made[name] = StandIn(module, system, changes.get(name, {}))
        return made[name]

    def imported(name, globals=None, locals=None, fromlist=(), level=0):
        importer = (globals or {}).get("__name__", "")
        ours = importer.partition(".")[0] == "mnistgpu" and level == 0
        if ours and name.partition(".")[0] in gone:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        module = real_import(name, globals, locals, fromlist, level)
        return stand_in(module) if ours else module

    builtins.__import__ = imported


def command(module, arguments):
    """Run a command of the project; its exit status."""
    if module == "-c":
        exec(arguments[0], {"__name__": "mnistgpu.probe"})
        return 0
    sys.argv = [module, *arguments]
    try:
        importlib.import_module(module).main()
    except SystemExit as end:
        return end.code or 0
    return 0


def main():
    """Run the commands, and end with the last exit status that is not 0."""
    system, *words = sys.argv[1:]
    importlib.import_module(f"helpers.{system}").pretend()
    worst = 0
    for each in "\0".join(words).split(f"\0{BETWEEN}\0"):
        module, *arguments = each.split("\0")
        status = command(module, arguments)
        print(f"exit status {status}", flush=True)
        worst = status or worst
    sys.exit(worst)


if __name__ == "__main__":
    main()
