"""Says what a build would run, why and for how long, without running it: `python workflow/status.py SCALE`.

That is `make status`. It also says how old the published report is against the code.
"""

import re
import signal
import statistics
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # an interrupt needs no traceback: there is nothing to clean up

PROJECT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(PROJECT))  # this project's vaelib, wherever another may be installed

import identity  # noqa: E402
import plan as plans  # noqa: E402
from build import arguments, snakemake_command  # noqa: E402
from watch import duration  # noqa: E402

from vaelib.files import UserError  # noqa: E402

PUBLISHED = "report/published/report.html"
RESULTS = re.compile(r"from commit\s+<code>([0-9a-f]{7,})")  # how the page ends its paragraph on reproduction
JOBS = re.compile(r"^(all|run|gather|report|publish) +(\d+)$", re.MULTILINE)  # in the table of what Snakemake would do
CODE = ("vaelib", "notebooks", "report", "workflow", ":!report/published")  # what a report comes out of


def of_plan(plan: plans.Plan, cores: int) -> list[str]:
    """Lines about the runs that are due, and about the report."""
    results = PROJECT / "results" / plan.name
    due = identity.why_due(plan.runs, PROJECT, results)
    jobs = _jobs(plan, results)
    more = max(0, jobs.get("run", 0) - len(due))  # that only Snakemake has a reason for
    count, lasting = len(due) + more, _time(plan, results, due, more, cores)
    lines = [f"{plan.name}: {count or 'none'} of {len(plan.runs)} runs would run{lasting}"]
    lines += [f"  {reason}" for reason in identity.reasons(due)]
    lines += [f"  {more} run{'s' * (more > 1)}: their command in workflow/Snakefile changed"] if more else []
    lines += identity.not_as_committed(plan.runs, PROJECT)
    if due or jobs:
        return [
            *lines,
            "its report would be built again" + ("" if count else ": its text, a figure or a table changed"),
        ]
    return [*lines, f"its report is up to date: report/build/{plan.name}/report.html"]


def _time(plan: plans.Plan, results: Path, due: Mapping[str, str], more: int, cores: int) -> str:
    """How long the runs that are due, and so many more, would take, by what runs took the last time."""
    measured = plan.measured(results)
    if not due and not more:
        return ""
    if not measured:
        return "; how long is not known before the first ones have run"
    mean = statistics.fmean(measured.values())
    seconds = (sum(measured.get(run, mean) for run in due) + more * mean) / min(cores, len(due) + more)
    return f", about {duration(seconds)} with {cores} at a time, as far as earlier records tell"


def _jobs(plan: plans.Plan, results: Path) -> dict[str, int]:
    """The jobs that Snakemake would start, by their rule: it has more reasons than a run's identity."""
    if not results.is_dir():
        return {"report": 1}
    command = [*snakemake_command(plan), "--cores", "1", "--nolock", "--dry-run", "--quiet", "rules"]
    answer = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    jobs = {rule: int(count) for rule, count in JOBS.findall(answer.stdout + answer.stderr)}
    return jobs or ({"report": 1} if answer.returncode else {})


def published() -> str:
    """A line about the published report: of which commits it and its numbers are, and how many changed the code since.

    The numbers are of the commit that the page itself names: from an archive a later one may have made the page.
    """
    try:
        commit, day = _git("log", "-1", "--format=%h %cs", "--", PUBLISHED).split()
        page = f"published: full, of commit {commit} ({day}), {_behind(commit)}"
        named = RESULTS.search((PROJECT / PUBLISHED).read_text(encoding="utf-8"))
        return f"{page}; its numbers of {named[1]}, {_behind(named[1])}" if named else page
    except (OSError, ValueError, subprocess.CalledProcessError):
        return "published: which commit has it is not known, since this is no git checkout with the project's history"


def _behind(commit: str) -> str:
    """How many commits have changed the code since this one."""
    count = int(_git("rev-list", "--count", f"{commit}..HEAD", "--", *CODE))
    return f"{count or 'no'} commit{'s' * (count != 1)} behind the code"


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=PROJECT, capture_output=True, check=True, text=True).stdout.strip()


def main() -> int:
    """Parses the arguments, says it, and returns the exit code."""
    options = arguments(__doc__)
    try:
        plan = plans.load(PROJECT, options.scale, options.dataset)
        print(*of_plan(plan, options.cores), published(), sep="\n")
    except (plans.PlanError, UserError, OSError) as error:
        print(f"No status: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
