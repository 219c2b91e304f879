"""Runs one job and tells its story in few lines: `python workflow/watch.py NAME --log FILE [...] -- COMMAND...`.

The whole output goes to the log; to the terminal only the lines that tell how far the job is, each with the
job's name in front, and in the end whether it finished.
"""

import argparse
import contextlib
import ctypes
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TextIO

SHOWN = re.compile(r"epoch \d|arm |collapsed: ")  # how lines begin that a notebook prints to be seen
SILENCE = 30.0  # seconds without a line to show after which the job says that it is still alive
IDENTITY = "identity.json"  # beside a run's record: what its result depends on
# What nbclient says of a kernel that found one of its ports taken: Jupyter picks them before it binds them, and of many
# kernels that start together two may pick one. Nothing has run then, and the next try picks others.
STILLBORN, TRIES = "Kernel died before replying to kernel_info", 3
SAID = ".said"  # beside the log: the lines for the terminal, for a build that starts its runs on other machines
GRACE = 5.0  # seconds that a job has to end when it is told to
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")  # the environment variables that tell libraries how many to use
REPEATABLE = {"CUBLAS_WORKSPACE_CONFIG": ":4096:8"}  # cuBLAS sums in one order; read when CUDA starts, so set before
# glibc gives large tensors back to the system when they are freed, and fetching them anew costs each its page faults.
KEPT = {"MALLOC_MMAP_THRESHOLD_": "33554432", "MALLOC_TRIM_THRESHOLD_": "4000000000", "MALLOC_TOP_PAD_": "268435456"}
COLOURS = re.compile(r"\x1b\[[0-9;]*m")


def duration(seconds: float) -> str:
    """A time as a person would say it: `42 s`, `3 min 20 s`, `1 h 5 min`."""
    minutes, rest = divmod(round(seconds), 60)
    if minutes >= 60:
        return f"{minutes // 60} h {minutes % 60} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None  # loaded here, since after a fork it is not safe


def die_with_parent() -> None:
    """Asks Linux to kill this process when its parent dies, so that a kill leaves nothing behind that still works.

    From build.py through Snakemake and papermill to the kernel every process does so, or sees to it by itself.
    """
    if LIBC is not None:
        LIBC.prctl(1, signal.SIGKILL)  # 1 is PR_SET_PDEATHSIG


class Watch:
    """A running command, its log, and the lines said about it."""

    def __init__(self, name: str, command: list[str], log: Path, threads: int):
        self.name, self.command, self.log = name, command, log
        self.started = self.said = time.monotonic()
        self.last = ""  # the last line of output: of a notebook that failed, its error
        self.stillborn = False  # whether a kernel died before it began
        self.process: subprocess.Popen | None = None
        # A folder of its own for each IPython, since those that start together trip over one another's history.
        self.ipython = log.with_suffix(".ipython").absolute()
        self.ipython.mkdir(parents=True, exist_ok=True)
        self.environment = dict(os.environ, IPYTHONDIR=str(self.ipython), JUPYTER_PREFER_ENV_PATH="1")
        self.environment |= dict.fromkeys(THREADS, str(threads)) | REPEATABLE | KEPT
        self.environment.pop("MPLBACKEND", None)  # one that the shell sets would keep figures out of notebooks

    def say(self, text: str) -> None:
        """One line on the terminal, in one write, so that jobs side by side do not mix theirs."""
        self.said = time.monotonic()
        line = f"[{self.name}] {text}\n"
        sys.stdout.write(line)
        sys.stdout.flush()
        with contextlib.suppress(OSError), self.log.with_suffix(SAID).open("a", encoding="utf-8") as said:
            said.write(line)

    def follow(self) -> int:
        """Runs the command, with its output in the log and what should be seen on the screen; returns the exit code."""
        self.say("started")
        threading.Thread(target=self._say_so_if_silent, daemon=True).start()
        with self.log.open("w", encoding="utf-8") as log:
            for _ in range(TRIES):
                code = self._run(log)
                if code == 0 or not self.stillborn:
                    break
        return code

    def _run(self, log: TextIO) -> int:
        log.write(f"$ {shlex.join(self.command)}\n")
        self.stillborn = False
        self.process = subprocess.Popen(
            self.command,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            preexec_fn=die_with_parent,
        )
        for line in self.process.stdout:
            log.write(line)
            log.flush()
            self.stillborn |= STILLBORN in line
            if text := COLOURS.sub("", line).strip():
                self.last = text
            if SHOWN.match(text):
                self.say(text)
        return self.process.wait()

    def _say_so_if_silent(self) -> None:
        while True:
            time.sleep(1)
            if time.monotonic() - self.said > SILENCE:
                self.say(f"at work for {duration(time.monotonic() - self.started)}")

    def stop(self) -> None:
        """Ends the command: politely, so that Jupyter can close its kernel, and then for good."""
        if self.process is None:
            return
        try:
            self.process.send_signal(signal.SIGINT)
            self.process.wait(GRACE)
        except subprocess.TimeoutExpired:
            self.process.kill()

    def failed(self, reason: str, notebook: Path | None) -> None:
        """Says what went wrong, and where to read the rest."""
        self.say(f"FAILED after {duration(time.monotonic() - self.started)}: {reason}")
        if notebook and notebook.is_file():
            self.say(f"       notebook with the traceback: {notebook}")
        self.say(f"       log: {self.log}")


def main() -> int:
    """Parses the arguments, runs the command and returns its exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", help="what the job is called on the terminal")
    parser.add_argument("--log", type=Path, required=True, help="where the whole output goes")
    parser.add_argument("--threads", type=int, default=1, help="how many threads it may use")
    parser.add_argument("--executed", type=Path, help="the notebook that the command writes while it runs")
    parser.add_argument("--keep", type=Path, help="where that notebook goes once it has succeeded")
    parser.add_argument("--identity", help="what the run depends on, to be left beside that notebook")
    parser.add_argument("command", nargs="+")
    options = parser.parse_args()

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGINT, interrupt)  # set it even where the shell that started all this ignores it
    signal.signal(signal.SIGTERM, interrupt)
    die_with_parent()
    watch = Watch(options.name, options.command, options.log, options.threads)
    try:
        code = watch.follow()
        if code:
            killed = f"killed by signal {-code}{' (out of memory?)' * (-code == signal.SIGKILL)}" if code < 0 else ""
            watch.failed(killed or watch.last or f"exit code {code}", options.executed)
            return 1
        if options.keep:
            options.keep.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(options.executed, options.keep)
        if options.identity:
            options.keep.with_name(IDENTITY).write_text(options.identity, encoding="utf-8")
    except KeyboardInterrupt:
        watch.stop()
        return 130
    except OSError as error:  # a full disk, mostly: the log or the notebook could not be written
        watch.stop()
        watch.failed(str(error), options.executed)
        return 1
    finally:
        shutil.rmtree(watch.ipython, ignore_errors=True)
    watch.say(f"finished in {duration(time.monotonic() - watch.started)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
