"""Builds a scale's report: `python workflow/build.py SCALE [--dataset D] [--cores N]`, which `make report` does.

Snakemake decides what is stale and runs it (see the Snakefile). Around it, this does what a person at the
terminal needs: it checks what can be checked first, keeps a second build out, shows the progress in few lines,
lets no process outlive it, and says in the end where the report is or what failed.
"""

import argparse
import contextlib
import fcntl
import os
import shutil
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TextIO

from watch import die_with_parent, duration

if __name__ == "__main__":  # before what takes a second or more to import
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # until main() is ready for it, an interrupt needs no traceback
    if "MAKELEVEL" in os.environ:  # started by make, whose death means the same as ours
        die_with_parent()

import joblib

PROJECT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(PROJECT))  # this project's vaelib, wherever another may be installed

import beforehand  # noqa: E402
import cluster  # noqa: E402
import identity  # noqa: E402
import machine  # noqa: E402
import plan as plans  # noqa: E402
from screen import Screen  # noqa: E402

from vaelib.files import UserError  # noqa: E402

SIDE_BY_SIDE = "VAELIB_RUNS_SIDE_BY_SIDE"  # the environment variable that tells a run how many share its device
RUN_BYTES = 40e6  # what a run leaves on the disk, rounded up: weights, figures, two notebooks
REPORT_BYTES = 200e6  # the unpacked data set, the report, and room to breathe
PATIENCE = 15.0  # seconds that Snakemake has to end its jobs after an interrupt
TOLD_TO_END = ("Terminating processes on user request", "Will exit after finishing currently running jobs")  # it says


class BuildError(Exception):
    """The build cannot go on; the message is for the person who started it."""


@contextlib.contextmanager
def only_build(results: Path) -> Iterator[TextIO]:
    """Holds the lock of a results folder. The system releases it with the process, so that no stale one can stay."""
    try:
        results.mkdir(parents=True, exist_ok=True)
        (PROJECT / "report" / "build").mkdir(parents=True, exist_ok=True)
        lock = (results / ".lock").open("a+", encoding="utf-8")
    except OSError as error:
        raise BuildError(f"cannot write to {error.filename}: {error.strerror}") from None
    with lock:
        for attempt in range(10):  # a build that was killed a moment ago may still be on its way out
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                time.sleep(0.2)
                if attempt == 9:
                    lock.seek(0)
                    raise BuildError(
                        f"another build of {results.relative_to(PROJECT)} is at work (process {lock.read().strip()});"
                        " wait for it or stop it"
                    ) from None
        with contextlib.suppress(OSError):  # the number serves the message above alone; a full disk is told about later
            lock.truncate(0)
            lock.write(str(os.getpid()))
            lock.flush()
        yield lock


def check_space(results: Path, unfinished: int) -> None:
    """Raises BuildError if the disk cannot hold what is still to be computed."""
    if unfinished:
        needed, free = REPORT_BYTES + unfinished * RUN_BYTES, shutil.disk_usage(results).free
        if free < needed:
            raise BuildError(
                f"{unfinished} runs need about {needed / 1e9:.1f} GB in {results.relative_to(PROJECT)},"
                f" but only {free / 1e9:.1f} GB are free on that disk"
            )


def snakemake_command(plan: plans.Plan, *config: str) -> list[str]:
    """The command that asks Snakemake about a plan."""
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(PROJECT / "workflow" / "Snakefile")]
    command += ["--directory", str(PROJECT / "results" / plan.name)]
    return [*command, "--config", f"scale=!!str {plan.scale}", f"dataset=!!str {plan.dataset}", *config]


def unnoticed(runs: Mapping[str, plans.Run], results: Path, due: Mapping[str, str]) -> list[str]:
    """The records of runs that finished while Snakemake was being killed, so that it took no notice.

    It holds them for cut short, and would delete them. That of a run that is due, for whatever reason, is no such.
    """
    marked = [run for run in runs if identity.kept_by_snakemake(results, "incomplete", run).is_file()]
    return [f"{run}/metrics.json" for run in marked if run not in due]


def acknowledge(command: list[str], records: list[str]) -> None:
    """Has Snakemake take note of finished runs. Where it does not, they run again."""
    if records:
        touch = [*command, "--cores", "1", "--nolock", "--touch", *records]
        subprocess.run(
            touch, cwd=PROJECT, stdin=subprocess.DEVNULL, capture_output=True, check=False, preexec_fn=die_with_parent
        )


@contextlib.contextmanager
def on_cluster(profile: Path, results: Path, screen: Screen) -> Iterator[list[str]]:
    """Snakemake's options for runs that are jobs of a cluster; meanwhile the screen shows what they say there."""
    if left := cluster.cancel_left(results):
        print(f"{left} jobs of an earlier build were still in the queue, and are cancelled", flush=True)
    follower = cluster.Follower(results / "logs", screen.show)
    follower.start()
    try:
        yield ["--workflow-profile", str(profile), "--slurm-jobname-prefix", cluster.job_name(results)]
    finally:
        follower.stop()


def snakemake(command: list[str], runs: int, lock: TextIO, screen: Screen) -> int:
    """Runs what is stale, so many at a time on one machine, and returns Snakemake's exit code."""
    command = [*command, "--nolock"]  # ours is held already, and never goes stale
    with subprocess.Popen(
        command,
        cwd=PROJECT,
        env=os.environ | {SIDE_BY_SIDE: str(runs)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        process_group=0,  # so that an interrupt reaches Snakemake and its jobs once, and through us
        pass_fds=[lock.fileno()],  # where it can outlive us, it keeps the lock
        preexec_fn=die_with_parent,
    ) as process:
        try:
            for line in process.stdout:
                screen.show(line)
            return process.wait()
        finally:  # on the way out after an interrupt or an error it still runs
            for stop, seconds in ((signal.SIGINT, PATIENCE), (signal.SIGKILL, None)):
                if process.poll() is None:
                    os.killpg(process.pid, stop)
                    with contextlib.suppress(subprocess.TimeoutExpired):
                        process.wait(seconds)


def build(scale: str, dataset: str, cores: int, on: str = "") -> None:
    """Brings a scale's report up to date, by jobs of a cluster if a profile is named; raises what stood in the way."""
    began = time.monotonic()
    plan = plans.load(PROJECT, scale, dataset)
    profile = cluster.profile(PROJECT, on) if on else None
    results = PROJECT / "results" / plan.name
    beforehand.check_data(plan, PROJECT)
    with only_build(results) as lock:
        check_space(results, sum(not (results / run / "metrics.json").is_file() for run in plan.runs))
        about = "" if dataset == plans.USUAL else f" on {dataset}"
        print(f"Report at scale {scale}{about}: {len(plan.runs)} runs", flush=True)
        for line in identity.not_as_committed(plan.runs, PROJECT):
            print(line, flush=True)
        # Asked for even where no run is due: what starts is up to Snakemake, which has more reasons than are told here.
        shares = machine.on_cluster(on) if profile else machine.find_out(PROJECT, cores)
        if due := identity.why_due(plan.runs, PROJECT, results):
            print(*identity.reasons(due), shares.said, sep="\n", flush=True)
            beforehand.check_parameters(plan, due, PROJECT)
        measured = plan.measured(results)
        mean = statistics.fmean(measured.values()) if measured else 1.0
        screen = Screen({*plan.runs, "gather", "report", "publish"}, {run: measured.get(run, mean) for run in due})
        command = snakemake_command(plan, f"threads={shares.threads}")
        acknowledge(command, unnoticed(plan.runs, results, due))
        if profile:
            with on_cluster(profile, results, screen) as options:
                code = snakemake(command + options, shares.runs, lock, screen)
        else:
            command += ["--cores", str(cores), "--resources", f"accelerator={shares.runs}"]
            code = snakemake(command, shares.runs, lock, screen)
    told_to_end = any(line.startswith(TOLD_TO_END) for line in screen.said)
    failures = screen.failures + (screen.stopped() if code > 0 and not told_to_end else [])
    if failures:
        raise BuildError("".join(["these failed, the rest is kept:\n", *failures]).rstrip())
    if code < 0 or (code and told_to_end):
        by = f"killed by signal {-code}" if code < 0 else "told from outside to end"
        raise BuildError(f"Snakemake was {by}; the same command goes on from here")
    if code:
        said = "".join(screen.said[-20:]).rstrip()
        raise BuildError(f"Snakemake stopped; its last words (see results/{plan.name}/.snakemake/log):\n{said}")
    print(f"Up to date after {duration(time.monotonic() - began)}:")
    for kind in ("html", "pdf"):
        print(f"  report/build/{plan.name}/report.{kind}")


def _cores(text: str) -> int:
    """How many cores, if a text says so."""
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of cores: give 1 or more")
    return int(text)


def arguments(about: str) -> argparse.Namespace:
    """The command line: the scale, its images and how many cores; `about` begins with a line on the command."""
    parser = argparse.ArgumentParser(description=about.splitlines()[0])
    parser.add_argument("scale", help="a file of workflow/scales, without .yaml")
    parser.add_argument("--dataset", default=plans.USUAL, help="the images to train on (default: MNIST)")
    parser.add_argument("--cores", type=_cores, default=joblib.cpu_count(), help="how many (default: all it may use)")
    parser.add_argument("--profile", default="", help="a folder of workflow/profiles: the runs are a cluster's jobs")
    return parser.parse_args()


def end_in_order() -> None:
    """From here on an interrupt, and being told to end, raise KeyboardInterrupt once."""

    def interrupt(*_: object) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)  # we are on the way out; a second one would only leave a mess
        raise KeyboardInterrupt

    signal.signal(signal.SIGINT, interrupt)
    signal.signal(signal.SIGTERM, interrupt)


def main() -> int:
    """Parses the arguments, builds, and returns the exit code."""
    options = arguments(__doc__)
    end_in_order()
    try:
        build(options.scale, options.dataset, options.cores, options.profile)
    except (BuildError, cluster.ClusterError, plans.PlanError, UserError, OSError) as error:
        print(f"No report: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Interrupted: what was finished is kept, and the same command goes on from here.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
