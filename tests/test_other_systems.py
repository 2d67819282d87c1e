"""Modules of Python that Windows lacks are not needed: they are imported where they may be missing, or not at all."""

import os
import select
import subprocess
import sys

import softq.training.run_directory as module
from softq.cli import closed
from softq.training.run_directory import RunDirectory

# of softq's own imports: what other packages import on Linux is their own matter
WITHOUT = """
import builtins, pkgutil, select, signal, sys
MISSING = {"fcntl", "pwd", "grp", "resource", "termios", "pty", "tty", "syslog", "posix"}
original = builtins.__import__

def imported(name, globals=None, *rest, **more):
    importer = (globals or {}).get("__name__", "")
    if name.split(".")[0] in MISSING and (importer == "__main__" or importer.split(".")[0] == "softq"):
        raise ImportError(f"no module {name} on this system")
    return original(name, globals, *rest, **more)

builtins.__import__ = imported
del select.poll, signal.SIGHUP, signal.SIGKILL
try:
    import fcntl
except ImportError:
    pass
else:
    sys.exit("nothing is blocked")
import softq
count = 0
for found in pkgutil.walk_packages(softq.__path__, "softq."):
    try:
        if not found.name.endswith("__main__"):
            original(found.name)
            count += 1
    except ModuleNotFoundError as error:
        if error.name not in ("dm_control", "gymnasium_robotics", "envpool"):  # packages of extras
            raise
from softq.cli import main
assert sys.modules["softq.training.run_directory"].fcntl is None
assert main(["list"]) == 0
print(f"{count} modules")
"""


def test_every_module_loads_without_what_windows_lacks():
    done = subprocess.run([sys.executable, "-c", WITHOUT], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.split()[-2]) > 100


def test_a_pipe_that_nobody_reads_is_noticed_without_poll(monkeypatch):
    """By the error of a flush."""
    monkeypatch.delattr(select, "poll")
    reader, writer = os.pipe()
    with open(writer, "w") as stream:
        stream.write("x")
        assert not closed(stream)
        os.close(reader)
        stream.write("x")
        assert closed(stream)


def test_a_run_is_opened_where_there_are_no_locks(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "fcntl", None)
    run = RunDirectory(tmp_path)
    run.lock()
    run.append({"kind": "train"})
    run.close()
    assert (tmp_path / "log.jsonl").read_text() == '{"kind": "train"}\n'
