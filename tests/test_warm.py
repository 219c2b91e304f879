"""A warm kernel is like any other, only there sooner; and it is gone with whoever asked for it."""

import ast
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from jupyter_client.manager import KernelManager, start_new_kernel

PROJECT = Path(__file__).resolve().parent.parent
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="kernels start warm on Linux alone")


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[subprocess.Popen]:
    """The server of a project whose package imports one module from elsewhere; it makes this process's kernels."""
    shutil.copytree(PROJECT / "workflow", tmp_path / "workflow")
    (tmp_path / "vaelib").mkdir()
    (tmp_path / "vaelib" / "own.py").write_text("from vaelib import other\nfrom colorsys import rgb_to_hsv\n")
    path = tmp_path / "server"
    command = [sys.executable, str(tmp_path / "workflow" / "warm.py"), "serve", str(path)]
    with subprocess.Popen(command, env=os.environ | {"ONLY_THERE": "yes"}) as process:
        while not path.exists():
            assert process.poll() is None, "the server did not start"
            time.sleep(0.05)
        monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "workflow"))
        monkeypatch.setenv("VAELIB_KERNEL_SERVER", str(path))
        monkeypatch.setenv("OMP_NUM_THREADS", "1")
        yield process
        process.kill()


class Kernel:
    """A running kernel that can be asked for the value of an expression."""

    def __init__(self):
        self.manager: KernelManager
        self.manager, self.client = start_new_kernel(kernel_name="python3", startup_timeout=60)

    def value(self, expression: str) -> object:
        reply = self.client.execute_interactive(
            "", user_expressions={"value": expression}, timeout=60, output_hook=lambda _: None
        )
        return ast.literal_eval(reply["content"]["user_expressions"]["value"]["data"]["text/plain"])

    def end(self) -> None:
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)


@pytest.fixture
def kernel(server: subprocess.Popen) -> Iterator[Kernel]:
    started = Kernel()
    yield started
    started.end()


def ends(process: int) -> bool:
    """Whether a process ends soon."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            return True
        if state == "Z":  # ended, but nobody has asked how
            return True
        time.sleep(0.1)
    return False


SEEN = "[name in __import__('sys').modules for name in ('colorsys', 'vaelib')]"
PROCESS = "__import__('os').getpid()"


def test_a_warm_kernel_has_what_the_package_imports_and_nothing_of_the_package(server, kernel):
    assert kernel.value("__import__('os').getppid()") == server.pid
    assert kernel.value(SEEN) == [True, False]


def test_a_warm_kernel_has_the_folder_and_environment_of_the_one_who_starts_it(server, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ONLY_HERE", "yes")
    kernel = Kernel()
    assert kernel.value("__import__('os').getcwd()") == str(tmp_path)
    assert kernel.value("[__import__('os').environ.get(name) for name in ('ONLY_HERE', 'ONLY_THERE')]") == ["yes", None]
    kernel.end()


def test_two_kernels_share_nothing(kernel):
    kernel.value("globals().update(x=1)")
    other = Kernel()
    assert other.value("'x' in globals()") is False
    assert other.value(PROCESS) != kernel.value(PROCESS)
    other.end()


@pytest.mark.parametrize("reason", ["server ended", "no server", "threads"])
def test_a_kernel_that_the_server_cannot_make_starts_cold(server, monkeypatch, reason):
    if reason == "server ended":
        server.kill()
        server.wait()
    elif reason == "no server":
        monkeypatch.delenv("VAELIB_KERNEL_SERVER")
    else:
        monkeypatch.setenv("OMP_NUM_THREADS", "2")  # the libraries of the server have settled on one
    kernel = Kernel()
    assert kernel.value("__import__('os').getppid()") == os.getpid()
    assert kernel.value(SEEN) == [False, False]
    kernel.end()


def test_an_interrupt_stops_what_a_warm_kernel_does_and_not_the_kernel(kernel):
    process = kernel.value(PROCESS)
    message = kernel.client.execute("import time; print('asleep'); time.sleep(60)", stop_on_error=False)
    while kernel.client.get_iopub_msg(timeout=20)["msg_type"] != "stream":
        pass
    kernel.manager.interrupt_kernel()
    reply = kernel.client.get_shell_msg(timeout=20)
    assert reply["parent_header"]["msg_id"] == message and reply["content"]["ename"] == "KeyboardInterrupt"
    assert kernel.value(PROCESS) == process


def test_a_warm_kernel_ends_with_the_process_that_asked_for_it(kernel):
    process = kernel.value(PROCESS)
    os.kill(kernel.manager.provisioner.pid, signal.SIGKILL)
    assert ends(process)


ASKING = """
import time
from jupyter_client.manager import start_new_kernel
manager, client = start_new_kernel(kernel_name="python3")
client.execute_interactive("import os; print(os.getpid(), flush=True)")
time.sleep(60)
"""


def test_a_warm_kernel_ends_with_a_papermill_that_is_killed(server):
    with subprocess.Popen([sys.executable, "-c", ASKING], stdout=subprocess.PIPE, text=True) as papermill:
        process = int(papermill.stdout.readline())
        papermill.kill()
        assert ends(process)


def test_a_warm_kernel_outlives_its_server(server, kernel):
    process = kernel.value(PROCESS)
    server.kill()
    server.wait()
    assert kernel.value(PROCESS) == process


def test_a_warm_kernel_that_shuts_down_ends_the_process_that_asked_for_it(kernel):
    asked = kernel.manager.provisioner.process
    kernel.client.shutdown()
    assert asked.wait(20) == 0
