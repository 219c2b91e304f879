"""How many runs share the machine, and how many threads each of them gets."""

import json
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

from watch import die_with_parent

RUN_MEMORY = 4e9  # bytes of an accelerator that a run may take: its context, and the largest blocks of the quadrature
PATIENCE = 120.0  # seconds that a driver may take to say what it drives


@dataclass(frozen=True)
class Shares:
    """What runs share: so many at a time, each with so many threads, and a line for the screen about it."""

    runs: int
    threads: int
    said: str


def on_processor(cores: int) -> Shares:
    """The shares where runs compute on the processor: a core each."""
    return Shares(cores, 1, f"on the processor, up to {cores} at a time")


def on_cluster(profile: str) -> Shares:
    """The shares of jobs of a cluster: each has a core of its own."""
    return Shares(1, 1, f"as jobs of a cluster (workflow/profiles/{profile})")


def find_out(project: Path, cores: int) -> Shares:
    """The shares on the device that runs take here, which a process of its own is asked for: this one stays small."""
    try:
        answer = subprocess.run(
            [sys.executable, "-m", "vaelib.device"],
            cwd=project,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=True,
            preexec_fn=die_with_parent,
        )
        found = json.loads(answer.stdout.strip().rpartition("\n")[2])
        device, kind, memory = found["device"], found["type"], int(found["memory"])
    except subprocess.CalledProcessError as error:
        return _unknown(error.stderr.strip().rpartition("\n")[2] or f"exit code {error.returncode}", cores)
    except (OSError, subprocess.TimeoutExpired, ValueError, TypeError, KeyError) as error:
        return _unknown(" ".join(f"{type(error).__name__}: {error}".split()), cores)
    if kind == "cpu":
        return on_processor(cores)
    runs = min(cores, max(1, int(memory // RUN_MEMORY)))
    shared = f"up to {runs} runs share it" if runs > 1 else "one run at a time"
    return Shares(runs, max(1, cores // runs), f"on {device}, {shared}")


def _unknown(reason: str, cores: int) -> Shares:
    said = f"which device there is could not be found out ({reason})"
    return replace(on_processor(cores), said=f"{said}; {on_processor(cores).said}")
