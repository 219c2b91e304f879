"""What a build shows: the words of its jobs, counted, with the time that is left."""

import re
import sys
import time
from collections.abc import Mapping

from watch import duration


class Screen:
    """Passes on what the jobs say, counting them; what Snakemake says is in its own log.

    Of the runs that are due, `seconds` has what each took the last time, or one number for all where none is known.
    """

    def __init__(self, names: set[str], seconds: Mapping[str, float]):
        self.names, self.seconds, self.began = names, seconds, time.monotonic()
        self.left = dict(seconds)
        self.due = 0
        self.started: dict[str, int] = {}  # the number of each run; on a cluster one may start again, as itself
        self.finished: set[str] = set()
        self.failures: list[str] = []
        self.at_work: set[str] = set()  # what has started and said nothing of its end
        self.said: list[str] = []  # Snakemake's own words, for when it fails by itself

    def show(self, line: str) -> None:
        """One line of output, from a job or from Snakemake."""
        name, _, text = line.rstrip("\n").removeprefix("[").partition("] ")
        if not line.startswith("[") or name not in self.names:
            self.said.append(line)
            if stated := re.match(r"run\s+(\d+)$", line):  # from Snakemake's table of the jobs to do
                self.due = int(stated[1])
            return
        if text.startswith(("FAILED", "   ")):
            self.failures.append(line)
        elif text.startswith(("started", "finished")):  # an earlier attempt's failure is past
            self.failures = [said for said in self.failures if not said.startswith(f"[{name}] ")]
        if text == "started":
            self.at_work.add(name)
        elif text.startswith(("FAILED", "finished")):
            self.at_work.discard(name)
        if "/" in name and text == "started":
            again = ", once more" * (name in self.started)
            line = f"run {self.started.setdefault(name, len(self.started) + 1)} of {self.due}: {name}{again}\n"
        elif "/" in name and text.startswith("finished"):
            self.finished.add(name)
            self.left.pop(name, None)
            left, elapsed = sum(self.left.values()), time.monotonic() - self.began
            pace = elapsed / max(sum(self.seconds.values()) - left, 1.0)  # for what took a second the last time
            rest = f", about {duration(pace * left)} left" if left else ""
            line = f"[{name}] {text}; {len(self.finished)} of {self.due} runs done after {duration(elapsed)}{rest}\n"
        sys.stdout.write(line)
        sys.stdout.flush()

    def stopped(self) -> list[str]:
        """A line for each job that ended without a word of its own, as one does that is killed."""
        said = "was stopped from outside; the same command goes on from here"
        return [f"[{name}] {said}\n" for name in sorted(self.at_work)]
