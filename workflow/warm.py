"""Jupyter kernels that start warm: forks of one process that has imported torch and the rest once.

To import what a notebook needs takes some six seconds, longer than many a run of the smoke scale computes. So build.py
starts a server, `python workflow/warm.py serve SOCKET`, and Jupyter, told of `workflow/kernels`, starts each kernel as
`python workflow/warm.py kernel ...`. That asks the server, which forks itself, and the fork becomes the kernel. The
package itself is not imported before the fork: each kernel runs the code as it is then. Where no server answers, the
same command becomes an ordinary kernel.
"""

import contextlib
import gc
import importlib
import json
import os
import signal
import socket
import sys
import threading
from pathlib import Path

import sources
from watch import die_with_parent

PACKAGE = Path(__file__).resolve().parent.parent / "vaelib"
SERVER = "VAELIB_KERNEL_SERVER"  # the environment variable that tells a kernel where its server listens
THREADS = "1"  # of the server's libraries, which settle it when they are imported


def serve(path: str) -> None:
    """Forks at every request; returns in each fork, as a kernel that has ended."""
    die_with_parent()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the kernels: the system forgets them itself
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path)
        listening.listen()
        while True:
            connection, _ = listening.accept()
            import_once()
            if os.fork() == 0:
                break
            connection.close()
    become_kernel(connection)


def import_once() -> None:
    """Imports what the package's modules import from elsewhere."""
    names = {name for file in PACKAGE.glob("*.py") for name in sources.imports(file, PACKAGE)}
    gc.disable()
    for name in sorted(names):
        if name.partition(".")[0] != PACKAGE.name:
            with contextlib.suppress(
                ImportError
            ):  # of `from a import b`, a.b may be no module; the kernel tells the rest
                importlib.import_module(name)
    gc.freeze()  # what is here now stays, and the forks' collector need not look at it


def become_kernel(connection: socket.socket) -> None:
    """Turns this fork of the server into the kernel that the other end of the connection asked for."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    gc.enable()
    os.setsid()
    die_with_parent()
    _, streams, _, _ = socket.recv_fds(connection, 1, 3)
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    request = json.loads(connection.makefile().readline())
    os.environ.clear()
    os.environ.update(request["environment"])
    os.chdir(request["folder"])
    connection.sendall(f"{os.getpid()}\n".encode())
    threading.Thread(target=end_with, args=(connection,), daemon=True).start()
    launch(request["arguments"])


def end_with(connection: socket.socket) -> None:
    """Ends this process when the one at the other end has ended."""
    connection.recv(1)
    os._exit(1)


def launch(arguments: list[str]) -> None:
    """What `python -m ipykernel_launcher` does."""
    sys.argv = ["ipykernel_launcher", *arguments]
    del sys.path[0]  # this file's folder
    from ipykernel import kernelapp  # reads the environment when it is imported

    kernelapp.launch_new_instance()


def kernel(arguments: list[str]) -> None:
    """Has the server make a kernel and lives as long as that does, passing signals on; or becomes one itself."""
    with socket.socket(socket.AF_UNIX) as connection:
        try:
            if os.environ.get("OMP_NUM_THREADS") != THREADS:
                raise ConnectionRefusedError
            connection.connect(os.environ[SERVER])
            socket.send_fds(connection, [b" "], [0, 1, 2])
            request = {"arguments": arguments, "folder": str(Path.cwd()), "environment": dict(os.environ)}
            connection.sendall(json.dumps(request).encode() + b"\n")
            process = int(connection.makefile().readline())
        except (KeyError, OSError, ValueError):  # no server, or one that ended in the middle of it
            process = None
        if process is not None:
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, lambda number, _: os.kill(process, number))
            with contextlib.suppress(ConnectionError):
                connection.recv(1)
            return
    launch(arguments)


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(sys.argv[2])
    else:
        kernel(sys.argv[2:])
