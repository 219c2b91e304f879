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
from watch import THREADS, die_with_parent

PACKAGE = Path(__file__).resolve().parent.parent / "vaelib"
SERVER = "VAELIB_KERNEL_SERVER"  # the environment variable that tells a kernel where its server listens
# Environment variables that libraries read when they are imported, as watch.py and ipykernel set them for a kernel.
SETTLED = dict.fromkeys(THREADS, "1") | {"MPLBACKEND": "module://matplotlib_inline.backend_inline"}


def serve(path: str) -> None:
    """Forks for every kernel that is asked for. In a fork it returns, once the kernel has ended."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the kernels: the system forgets them itself
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path)
        listening.listen()
        import_what_the_package_needs()  # while Snakemake finds out what there is to do; who asks already waits
        while True:
            connection, _ = listening.accept()
            if os.fork() == 0:
                break
            connection.close()
    become_kernel(connection)


def import_what_the_package_needs() -> None:
    """Imports what the package's modules import from elsewhere."""
    gc.disable()
    for file in sorted(PACKAGE.glob("*.py")):
        for name in sources.imports(file, PACKAGE):
            if name.partition(".")[0] != PACKAGE.name:
                # `from a import b` names a.b too, which may be no module; what is really missing the kernel will say.
                with contextlib.suppress(ImportError):
                    importlib.import_module(name)
    gc.freeze()  # what is here now stays, and the forks' collector need not look at it


def become_kernel(connection: socket.socket) -> None:
    """Turns this fork of the server into the kernel that the other end of the connection asked for."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    gc.enable()
    os.setsid()
    _, streams, _, _ = socket.recv_fds(connection, 1, 3)
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    request = json.loads(connection.makefile().readline())
    os.environ.clear()
    os.environ.update(request["environment"])
    os.chdir(request["folder"])
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed()  # as if it were imported here; Python and torch see to theirs themselves
    connection.sendall(f"{os.getpid()}\n".encode())
    threading.Thread(target=end_with, args=(connection,), daemon=True).start()
    launch(request["arguments"])


def end_with(connection: socket.socket) -> None:
    """Ends this process when the one at the other end has ended."""
    with contextlib.suppress(OSError):
        connection.recv(1)
    os._exit(1)


def launch(arguments: list[str]) -> None:
    """What `python -m ipykernel_launcher` does."""
    sys.argv = ["ipykernel_launcher", *arguments]
    from ipykernel import kernelapp  # reads the environment when it is imported

    kernelapp.launch_new_instance()


def ask(connection: socket.socket, arguments: list[str]) -> int | None:
    """The process of a kernel that the server makes; None where there is no server or it cannot make this one."""
    if os.environ.get("OMP_NUM_THREADS") != SETTLED["OMP_NUM_THREADS"]:
        return None
    try:
        connection.connect(os.environ[SERVER])
        socket.send_fds(connection, [b" "], [0, 1, 2])
        request = {"arguments": arguments, "folder": str(Path.cwd()), "environment": dict(os.environ)}
        connection.sendall(json.dumps(request).encode() + b"\n")
        return int(connection.makefile().readline())
    except (KeyError, OSError, ValueError):
        return None


def kernel(arguments: list[str]) -> None:
    """Has the server make a kernel and lives as long as that does, passing signals on; or becomes one itself."""
    die_with_parent()
    with socket.socket(socket.AF_UNIX) as connection:
        process = ask(connection, arguments)
        if process is not None:

            def pass_on(number: int, _: object) -> None:
                with contextlib.suppress(ProcessLookupError):  # it has ended in the meantime
                    os.killpg(process, number)

            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, pass_on)
            with contextlib.suppress(OSError):
                connection.recv(1)
            return
    launch(arguments)


if __name__ == "__main__":
    del sys.path[0]  # this file's folder, whose modules are neither the libraries' nor the notebooks'
    command, *rest = sys.argv[1:]
    if command == "serve":
        serve(*rest)
    else:
        kernel(rest)
