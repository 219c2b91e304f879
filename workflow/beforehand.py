"""What is checked before any run begins, so that none ends hours later in a line that could be known at once."""

import json
import subprocess
import sys
from collections.abc import Collection
from pathlib import Path

import needs
import plan as plans
from watch import die_with_parent

from vaelib import archives


def check_data(plan: plans.Plan, project: Path) -> None:
    """Fetches the data sets of a plan's runs; MNIST comes with the project.

    Raises DataError for one of which no report can be made, PlanError for one that is too small for this scale.
    """
    settings = plans.settings(plan.runs, project / "notebooks")
    for name in sorted({run.dataset for run in plan.runs.values()} - {plans.USUAL}):
        half = archives.read_for_report(name, project / "data") // 2
        about = {run: values for run, values in settings.items() if plan.runs[run].dataset == name}
        if lacking := list(needs.seen_too_much(about, half)):
            raise plans.PlanError(f"the report about {name} needs {'; '.join(lacking)}")


def check_parameters(plan: plans.Plan, names: Collection[str], project: Path) -> None:
    """Raises PlanError where the notebooks of these runs would refuse their parameters.

    The rules take seconds to import: another process has them. Where that fails, the runs will say why.
    """
    settings = plans.settings(plan.runs, project / "notebooks")
    answer = subprocess.run(
        [sys.executable, "-m", "vaelib.runs.refused"],
        cwd=project,
        input=json.dumps({name: [plan.runs[name].experiment, settings[name]] for name in names}),
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=die_with_parent,
    )
    if refused := answer.stdout.splitlines():
        told = f"workflow/scales/{plan.scale}.yaml has runs that their notebooks refuse:"
        raise plans.PlanError("\n  ".join([told, *refused]))
