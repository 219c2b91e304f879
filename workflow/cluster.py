"""Runs as jobs of a cluster: what they say there, and what a build that was killed left in the queue."""

import contextlib
import hashlib
import re
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

from watch import SAID

LOOKED = 1.0  # seconds between two looks at what jobs have said
PATIENCE = 60.0  # seconds that jobs have to leave the queue once they are cancelled


class ClusterError(Exception):
    """The cluster cannot be used; the message is for the person who started the build."""


def profile(project: Path, name: str) -> Path:
    """The folder of a profile; raises ClusterError with the names there are, or for a path that Slurm cannot take."""
    folders = sorted(file.parent for file in (project / "workflow" / "profiles").glob("*/config.yaml"))
    known = {folder.name: folder for folder in folders if folder.name != "default"}
    if name not in known:
        raise ClusterError(f"PROFILE={name} is not one of: {', '.join(known)} (folders of workflow/profiles)")
    if not re.fullmatch(r"[\w./+-]+", str(project)):
        raise ClusterError(f"a cluster's jobs cannot work in a path with spaces or quotes, such as {project}: move it")
    return known[name]


def job_name(results: Path) -> str:
    """How the names of the jobs begin that compute into a results folder."""
    return f"vaelib-{hashlib.sha256(str(results.absolute()).encode()).hexdigest()[:12]}"


def cancel_left(results: Path) -> int:
    """Cancels the jobs of an earlier build into a results folder, whose lock the caller holds; returns how many.

    A driver that was killed could not do so itself, and two jobs must not write into one run's folder. Raises
    ClusterError where Slurm does not answer, or does not end them.
    """
    if left := _jobs(job_name(results)):
        _ask("scancel", *left)
        until = time.monotonic() + PATIENCE
        while _jobs(job_name(results)):
            if time.monotonic() > until:
                raise ClusterError(f"jobs of an earlier build do not end: {', '.join(left)}")
            time.sleep(LOOKED)
    return len(left)


def _jobs(name: str) -> list[str]:
    """The numbers of one's own jobs whose names begin so."""
    lines = (line.split(maxsplit=1) for line in _ask("squeue", "--me", "--noheader", "--format=%A %j").splitlines())
    return [number for number, called in lines if called.startswith(name)]


def _ask(*command: str) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=PATIENCE).stdout
    except FileNotFoundError:
        raise ClusterError(f"there is no {command[0]} here: start it where Slurm's commands are") from None
    except subprocess.CalledProcessError as error:
        raise ClusterError(f"{command[0]}: {error.stderr.strip()}") from None
    except subprocess.TimeoutExpired:
        raise ClusterError(f"{command[0]} does not answer") from None


class Follower(threading.Thread):
    """Shows each new line that runs leave in their files below a folder, until it is told to stop."""

    def __init__(self, logs: Path, show: Callable[[str], None]):
        super().__init__(daemon=True)
        self.logs, self.show, self.ended = logs, show, threading.Event()
        self.read: dict[Path, int] = {}  # bytes of each file: at first what earlier builds left
        for file in self._files():
            with contextlib.suppress(OSError):
                self.read[file] = file.stat().st_size

    def _files(self) -> list[Path]:
        with contextlib.suppress(OSError):
            return sorted(self.logs.glob(f"*/*{SAID}"))
        return []

    def run(self) -> None:
        """Looks again and again, and once more after the end."""
        while not self.ended.wait(LOOKED):
            self._look()
        self._look()

    def _look(self) -> None:
        """Shows the whole lines that are new. A file that cannot be read now is looked at again the next time."""
        for file in self._files():
            new = b""
            with contextlib.suppress(OSError), file.open("rb") as said:
                said.seek(self.read.get(file, 0))
                new = said.read()
            lines = new[: new.rfind(b"\n") + 1]
            self.read[file] = self.read.get(file, 0) + len(lines)
            for line in lines.decode("utf-8", "replace").split("\n")[:-1]:
                self.show(f"{line}\n")

    def stop(self) -> None:
        """Ends it once it has shown all."""
        self.ended.set()
        self.join()
