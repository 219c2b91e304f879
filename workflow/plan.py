"""Reads a scale's YAML: which runs make up its report, with which parameters, and which run needs which.

    report:
      banner: a sentence at the top of the report            (optional)
    experiments:
      vae:                                                   the notebook: notebooks/vae.ipynb
        defaults: {epochs: 10}                               (optional) for every run of the experiment
        runs:
          conv: {architecture: conv, seeds: [0, 1]}          vae/conv-seed0 and vae/conv-seed1
      latent_space:
        runs:
          conv: {needs: {vae_run: vae/conv-seed0}}           latent_space/conv

Of the runs that can start, the one goes first that begins the longest chain: itself, a run that needs it, a run that
needs that one, and so on, in the seconds that each took the last time, by the record that it left in results/. Where no
run has a record, as in a fresh clone, they start in the order in which they stand here, each after what it needs. So
the longest chains should stand first here, too: then only short runs are left to fill the cores in the end.

Three keys of a run mean something here; every other one is a parameter of the notebook.

* `seeds: [0, 1]` makes a run of each seed, named `<run>-seed<seed>`, with the parameter `seed`.
* `needs: {parameter: run}` names a run, or a list of runs, that must be finished first. The parameter receives
  the path of its folder. `{seed}` in the name stands for this run's own seed.
* `threads: 2` gives the run that many cores. Without it a run has one, or its share of the cores beside an accelerator.

Another data set than MNIST is set for all runs that have the parameter `dataset` and say nothing of it; its results and
its report lie apart, under `<scale>-<dataset>`.
"""

import ast
import contextlib
import functools
import graphlib
import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import needs
import papermill
import yaml

from vaelib import archives
from vaelib.classes import USUAL

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
RESERVED = {"logs", "report"}  # folders of results/<scale> that are no experiment's
BY_HAND = {"notebook", "batch"}  # folders of results/ that are no scale's: of runs in JupyterLab, and by papermill


class SafeLoader(yaml.SafeLoader):
    """Reads YAML with 1e-3 as a number, which PyYAML takes for a text, and no key twice, where it drops the first."""

    def compose_mapping_node(self, anchor: str | None) -> yaml.MappingNode:
        """A mapping, before anything is merged into it."""
        node = super().compose_mapping_node(anchor)
        keys = [key.value for key, _ in node.value]
        for place, (key, _) in enumerate(node.value):
            if key.value in keys[:place]:
                raise PlanError(f"{key.value} is there twice, again in line {key.start_mark.line + 1}: rename it")
        return node


SafeLoader.add_implicit_resolver("tag:yaml.org,2002:float", re.compile(r"[-+]?\d+[eE][-+]?\d+"), list("-+0123456789"))


class PlanError(Exception):
    """A scale's YAML asks for something that cannot be run; the message is one line for a person."""


@dataclass(frozen=True)
class Run:
    """One execution of a notebook; its results go to `results/<scale>/<experiment>/<name>`."""

    experiment: str
    name: str
    parameters: dict[str, object]
    needs: dict[str, str | list[str]]
    threads: int | None
    dataset: str = USUAL

    @property
    def id(self) -> str:
        """The run's name among all: `vae/conv-seed0`."""
        return f"{self.experiment}/{self.name}"

    @property
    def needed(self) -> list[str]:
        """The ids of the runs that must be finished before this one."""
        return [run for value in self.needs.values() for run in ([value] if isinstance(value, str) else value)]

    def arguments(self, results: str) -> str:
        """The papermill arguments that set this run's parameters, as a person would type them."""

        def folder(needed: str | list[str]) -> str | list[str]:
            return f"{results}/{needed}" if isinstance(needed, str) else [f"{results}/{run}" for run in needed]

        needs = {parameter: folder(needed) for parameter, needed in self.needs.items()}
        values = {"run_dir": f"{results}/{self.id}", **needs, **self.parameters}
        return " ".join(_argument(name, value) for name, value in values.items())


def _argument(name: str, value: object) -> str:
    if isinstance(value, list | dict):  # papermill's -p takes scalars only
        return "-y " + shlex.quote(f"{name}: {yaml.safe_dump(value, default_flow_style=True, width=10**6).strip()}")
    option = "-r" if isinstance(value, str) else "-p"  # by which a text stays one, such as a data set called 2024
    return f"{option} {name} {shlex.quote(str(value))}"


@dataclass(frozen=True)
class Plan:
    """All runs of a scale by their id, and the banner of its report (empty for none).

    `name` is the folder of its results in `results/`, and of its report in `report/build/`.
    """

    scale: str
    dataset: str
    runs: dict[str, Run]
    banner: str

    @property
    def name(self) -> str:
        """`full`, or of another data set than MNIST `full-FashionMNIST`."""
        return self.scale if self.dataset == USUAL else f"{self.scale}-{self.dataset}"

    def measured(self, results: Path) -> dict[str, float]:
        """The seconds that runs took the last time, with whatever parameters; of those that left a record alone."""
        seconds = {}
        for run in self.runs:
            with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
                record = json.loads((results / run / "metrics.json").read_text(encoding="utf-8"))
                seconds[run] = float(record["provenance"]["wall_seconds"])
        return seconds

    def priorities(self, seconds: Mapping[str, float]) -> dict[str, int]:
        """Higher for a run that begins a longer chain of runs, by their seconds; of equals, for that declared earlier.

        One without seconds, such as an interrupted run, counts like the longest: it might be that one, left to the end.
        """
        longest = max(seconds.values(), default=0.0)
        needed_by = {run: [later.id for later in self.runs.values() if run in later.needed] for run in self.runs}
        earliness = {run: -place for place, run in enumerate(self.runs)}

        @functools.cache
        def urgency(run: str) -> tuple[float, int]:
            later = [urgency(needing) for needing in needed_by[run]]
            chain = seconds.get(run, longest) + max((chain for chain, _ in later), default=0.0)
            return chain, max([earliness[run], *(early for _, early in later)])  # as early as what needs it

        return {run: priority for priority, run in enumerate(sorted(self.runs, key=urgency))}


def load(project: Path, scale: str, dataset: str = USUAL) -> Plan:
    """The plan in `workflow/scales/<scale>.yaml`, checked against the notebooks; raises PlanError."""
    if dataset not in (known := archives.names(project / "data")) or not NAME.fullmatch(dataset):
        raise PlanError(f"there is no data set {dataset!r}; there are: {', '.join(known)}. data/README.md says more")
    file = project / "workflow" / "scales" / f"{scale}.yaml"
    if scale in BY_HAND:
        raise PlanError(f"no scale can be called {scale}: results/{scale} is for runs by hand. Rename {scale}.yaml")
    if not file.is_file():
        known = ", ".join(sorted(path.stem for path in file.parent.glob("*.yaml")))
        raise PlanError(f"there is no scale {scale!r}; the scales are: {known}")
    try:
        content = yaml.load(file.read_text(encoding="utf-8"), SafeLoader)
        declared = _runs(content["experiments"])
        runs = {run.id: run for run in declared}
        banner = (content.get("report") or {}).get("banner", "")
        for run in declared:
            _check(run, runs, project / "notebooks" / f"{run.experiment}.ipynb")
        _check_order(runs)
        runs = _about(dataset, runs, project / "notebooks")
        known = {notebook.stem for notebook in (project / "notebooks").glob("*.ipynb")}
        if lacking := needs.lacking(settings(runs, project / "notebooks"), known):
            raise PlanError(f"the report needs {'; '.join(lacking)}")
    except PlanError as error:
        raise PlanError(f"{file.relative_to(project)}: {error}") from None
    except (yaml.YAMLError, AttributeError, KeyError, TypeError, ValueError) as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise PlanError(f"{file.relative_to(project)} cannot be read: {reason}") from None
    return Plan(scale, dataset, runs, banner)


def _runs(experiments: dict) -> list[Run]:
    runs = []
    for experiment, content in experiments.items():
        for name, own in content["runs"].items():
            settings = {**(content.get("defaults") or {}), **(own or {})}
            threads, needs = settings.pop("threads", None), settings.pop("needs", {})
            for seed in settings.pop("seeds", [None]):
                seeded = {} if seed is None else {"seed": seed}

                def fill(needed: str | list[str], seeded: dict = seeded) -> str | list[str]:
                    return needed.format(**seeded) if isinstance(needed, str) else [fill(run) for run in needed]

                called = name if seed is None else f"{name}-seed{seed}"
                filled = {parameter: fill(needed) for parameter, needed in needs.items()}
                runs.append(Run(experiment, called, settings | seeded, filled, threads))
    return runs


@functools.cache
def _parameters(notebook: Path) -> dict[str, object]:
    """What papermill can set, with the values that the notebook gives; None where a value is no constant."""
    path = str(notebook).replace("{", "{{").replace("}", "}}")  # papermill takes braces in a path for parameters
    found = papermill.inspect_notebook(path)
    return {name: _constant(parameter["default"]) for name, parameter in found.items()}


def _constant(source: str) -> object:
    with contextlib.suppress(ValueError, SyntaxError):
        return ast.literal_eval(source)
    return None


def _check(run: Run, runs: dict[str, Run], notebook: Path) -> None:
    """Says in one line what is wrong with a run; a misspelt parameter would otherwise be ignored by papermill."""
    if not NAME.fullmatch(run.experiment) or not NAME.fullmatch(run.name) or run.experiment in RESERVED:
        raise PlanError(f"{run.id!r} cannot be the name of a run")
    if runs[run.id] is not run:
        raise PlanError(f"there are two runs {run.id}: rename one")
    if not notebook.is_file():
        raise PlanError(f"{run.id} needs the notebook notebooks/{notebook.name}, which does not exist")
    if missing := sorted(set(run.needed) - set(runs)):
        raise PlanError(f"{run.id} needs {', '.join(missing)}, which is not among the runs")
    given = {"run_dir", *run.needs}
    if twice := sorted(given & set(run.parameters) | {"run_dir"} & set(run.needs)):
        raise PlanError(f"{run.id} sets {', '.join(twice)}, which is given: the run's folder, or that of one it needs")
    if unknown := (given | set(run.parameters)) - set(_parameters(notebook)):
        raise PlanError(f"{run.id} sets {', '.join(sorted(unknown))}: no parameter of notebooks/{notebook.name}")


def _check_order(runs: dict[str, Run]) -> None:
    """Says in one line which runs would wait for one another for ever."""
    try:
        graphlib.TopologicalSorter({run.id: run.needed for run in runs.values()}).prepare()
    except graphlib.CycleError as error:
        raise PlanError(f"each of these runs needs the one before it: {', '.join(error.args[1])}") from None


def _about(dataset: str, runs: dict[str, Run], notebooks: Path) -> dict[str, Run]:
    """The runs with the data set of each: the one that it sets, or what it needs is about, or else `dataset`."""
    about: dict[str, Run] = {}
    for name in graphlib.TopologicalSorter({run.id: run.needed for run in runs.values()}).static_order():
        run, parameters = runs[name], dict(runs[name].parameters)
        if dataset != USUAL and "dataset" in _parameters(notebooks / f"{run.experiment}.ipynb"):
            parameters.setdefault("dataset", dataset)
        inherited = about[run.needed[0]].dataset if run.needed else USUAL
        about[name] = replace(run, parameters=parameters, dataset=parameters.get("dataset", inherited))
    return {name: about[name] for name in runs}


def settings(runs: dict[str, Run], notebooks: Path) -> dict[str, dict[str, object]]:
    """All parameters of each run: the notebook's own, the scale's, and the names of the runs that it needs."""
    return {
        name: {**_parameters(notebooks / f"{run.experiment}.ipynb"), **run.needs, **run.parameters}
        for name, run in runs.items()
    }
