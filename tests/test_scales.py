"""A scale with less in it than the project's own is refused in a line, or it makes a report: nothing in between."""

import copy
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import made_up_scale
import numpy as np
import pandas as pd
import pytest
import yaml
from matplotlib.colors import to_hex
from toy import PROJECT

sys.path.insert(0, str(PROJECT / "workflow"))

import needs
import plan

from vaelib.plots import charts, figures
from vaelib.report import exhibits, frames, gains, plain, report, tables
from vaelib.report.findings import theory
from vaelib.report.report import Report
from vaelib.report.summary import published_likelihoods
from vaelib.runs.schemas import VAEParameters

SCALES = PROJECT / "workflow" / "scales"
REPORT = (PROJECT / "report" / "report.ipynb").read_text(encoding="utf-8")
NEW = {  # runs that someone may add, whatever they call them
    "a name of its own": {"mine": {"architecture": "conv", "seeds": [0]}},
    "another length": {"mlp-long": {"architecture": "mlp", "epochs": 99, "seeds": [0]}},
    "a variation": {"mlp-slow": {"architecture": "mlp", "precision": "float32", "seeds": [0]}},
    "several": {f"more{i}": {"architecture": "resmlp", "learning_rate": i / 1000} for i in (1, 2, 3)},
}

Scale = dict[str, Any]


def less_one_part(scale: Scale) -> Iterator[tuple[str, Scale]]:
    """Copies without one experiment, one run, one of a run's seeds, or the runs of one architecture."""
    runs = [(e, r, run) for e, content in scale["experiments"].items() for r, run in content["runs"].items()]
    for experiment in scale["experiments"]:
        yield experiment, without(scale, lambda e, *_, left_out=experiment: e == left_out)
    for experiment, name, run in runs:
        yield f"{experiment}/{name}", without(scale, lambda *at, left_out=(experiment, name): at[:2] == left_out)
        seeds = run.get("seeds", scale["experiments"][experiment].get("defaults", {}).get("seeds", []))
        for seed in seeds:
            fewer = copy.deepcopy(scale)
            fewer["experiments"][experiment]["runs"][name]["seeds"] = [other for other in seeds if other != seed]
            yield f"{experiment}/{name}-seed{seed}", fewer
    for architecture in sorted({run["architecture"] for *_, run in runs if "architecture" in run}):
        yield architecture, without(scale, lambda *at, left_out=architecture: at[2].get("architecture") == left_out)


def without(scale: Scale, left_out) -> Scale:
    """A copy without some runs, and without experiments that then have none."""
    experiments = {
        experiment: content | {"runs": kept}
        for experiment, content in scale["experiments"].items()
        if (kept := {name: run for name, run in content["runs"].items() if not left_out(experiment, name, run)})
    }
    return scale | {"experiments": experiments}


def changed() -> Iterator[Any]:
    """Every such copy of the project's scales, and each with more in it; of those that declare the same runs, one."""
    seen = set()
    for scale in ("smoke", "standard"):
        content = yaml.safe_load((SCALES / f"{scale}.yaml").read_text(encoding="utf-8"))
        for part, fewer in less_one_part(content):
            declared = repr(plan._runs(fewer["experiments"]))
            if declared in seen:
                continue
            seen.add(declared)
            yield pytest.param(fewer, False, id=f"{scale} without {part}")
        for kind, runs in NEW.items():
            more = copy.deepcopy(content)
            more["experiments"]["vae"]["runs"] |= runs
            yield pytest.param(more, True, id=f"{scale} with {kind}")


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    """A project with the real notebooks, whose scales are the tests' own."""
    folder = tmp_path_factory.mktemp("project")
    (folder / "workflow" / "scales").mkdir(parents=True)
    (folder / "notebooks").symlink_to(PROJECT / "notebooks")
    return folder


@pytest.mark.parametrize(("scale", "more"), list(changed()))
def test_a_scale_is_refused_in_a_line_or_makes_a_report_whose_prose_follows_its_tables(
    scale: Scale, more: bool, project: Path, tmp_path: Path, monkeypatch
):
    """One with more in it than the project's own makes a report."""
    (project / "workflow" / "scales" / "own.yaml").write_text(yaml.safe_dump(scale, sort_keys=False))
    try:
        runs = plan.load(project, "own").runs
    except plan.PlanError as error:
        if more:
            raise
        assert re.fullmatch(r"workflow/scales/own\.yaml: \S.*", str(error))
        return
    records = made_up_scale.of_settings(plan.settings(runs, project / "notebooks"))
    report = Report(made_up_scale.write(tmp_path / "results", records))
    stored = {}
    monkeypatch.setattr(exhibits, "display", lambda data, raw: stored.update(data[exhibits.VALUES_MIME]))
    exhibits.store_values(report.values())
    for name, _, spec in (text.partition(":") for text in re.findall(r"\{\{([^{}]*)\}\}", REPORT)):
        if name.strip() not in ("scale", "author"):
            exhibits.format_value(stored[name.strip()], spec.strip())
    assert_the_prose_follows(report, stored)
    shown = [
        tables.networks(report.vaes),
        tables.training(report.vaes),
        tables.other_training(report.summary),
        tables.realism(report.samples),
        gains.generators(report.generators, report.classifiers),
        gains.by_fraction(report.classifiers),
        gains.by_arm(report.classifiers),
        theory.task_table(report.sweep, report.classifiers),
    ]
    assert not [frame for frame in shown if frame.empty or "nan" in frame.to_string()]


def assert_the_prose_follows(report: Report, stored: dict[str, Any]) -> None:
    """The best is that of the table, and a model is the same in prose and figure."""
    table = tables.results(report.vaes, published_likelihoods())
    own = table[table.protocol == "Protocol A, this report"]
    assert own.model.tolist() == report.ranking
    assert stored["best.model"] == report.ranking[0]
    assert f"*{report.ranking[1]}*" in stored["best.lead"]
    assert stored["best.nll"] == own["exact −log p(x)"].iloc[0]
    assert list(frames.gaps_by_model(report.vaes, report.ranking).index) == report.ranking
    objectives = tables.objectives(report.vaes)
    same = objectives[objectives.decoder == stored["exact.twin"]].groupby("trained by")["exact −log p(x)"]
    for objective, nll in (("log p(x)", stored["exact.nll"]), ("ELBO", stored["exact.twin_nll"])):
        assert nll in set(same.get_group(objective))
    assert stored["vaegan.plain"] in set(tables.realism(report.samples)["samples of"])
    assert stored["plane.hole"] == 100 * report.vaes.hole_share[report.plane_vae.name]


def test_the_scale_and_the_report_know_the_same_variations_of_a_training():
    defaults = VAEParameters().model_dump()
    assert needs.VARIATIONS == plain.VARIATIONS == {name: defaults[name] for name in plain.VARIATIONS}


def test_the_scale_and_the_report_know_the_same_likeness_of_a_vaegan_and_a_vae():
    assert needs.TWIN == report.TWIN


@pytest.mark.parametrize("scale", ["smoke", "standard", "full"])
def test_every_vaegan_has_a_vae_of_its_pixels_and_length_with_its_seed(scale: str):
    runs = plan.settings(plan.load(PROJECT, scale).runs, PROJECT / "notebooks")
    for name, run in runs.items():
        if name.startswith("vaegan/"):
            own = [runs[other] for other in run["compared_runs"] if runs[other]["protocol"] == "B"]
            assert [(vae["seed"], *(vae[same] for same in needs.TWIN)) for vae in own] == [
                (run["seed"], *(run[same] for same in needs.TWIN))
            ]
            assert all(vae["objective"] == "elbo" for vae in own)


def test_as_many_models_and_generators_as_a_scale_may_have_fit_on_a_page():
    images = np.zeros((150, 784), np.uint8)
    models, generators = ({f"model {i}": images for i in range(needs.MOST[kind])} for kind in ("models", "generators"))
    drawn = [
        figures.galleries({name: images[:100] for name in [*models, "vaegan"]}, 10, "samples", across=3),
        figures.galleries({name: images[:32] for name in models}, 8, "reconstructions", across=2),
        figures.galleries(generators, 15, "synthetic images", across=3),
    ]
    assert max(figure.get_figheight() for figure in drawn) <= exhibits.TALLEST


def test_as_many_models_as_a_scale_may_have_differ_in_colour():
    models = [f"model {i}" for i in range(needs.MOST["models"])]
    history = pd.DataFrame({"epoch": [1, 2], "train_elbo": [-150.0, -140.0], "validation_elbo": [-151.0, -141.0]})
    curves = charts.learning_curves(dict.fromkeys(models, history), "A")
    bounds = charts.bound_curve((1, 5), dict.fromkeys(models, (-150.0, -140.0)), dict.fromkeys(models, -139.0))
    shares = charts.class_shares(dict.fromkeys(models, np.full(10, 0.1)))
    for lines in (curves.axes[0].lines, bounds.axes[0].lines):
        assert len({to_hex(line.get_color()) for line in lines}) == len(models)
    assert len({to_hex(bars.patches[0].get_facecolor()) for bars in shares.axes[0].containers}) == len(models)


def test_of_the_smoke_scale_much_can_be_left_out(project):
    content = yaml.safe_load((SCALES / "smoke.yaml").read_text(encoding="utf-8"))
    accepted = []
    for part, scale in less_one_part(content):
        (project / "workflow" / "scales" / "own.yaml").write_text(json.dumps(scale))
        try:
            accepted += [part] if plan.load(project, "own").runs else []
        except plan.PlanError:
            continue
    assert {"vae/mlp-continuous-bernoulli", "augmentation/fraction100"} <= set(accepted)
