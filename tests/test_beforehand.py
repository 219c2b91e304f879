"""What a notebook would refuse in its first second is refused before any run begins."""

import sys

import pytest
from toy import PROJECT

sys.path.insert(0, str(PROJECT / "workflow"))

import beforehand
import plan

from vaelib.runs.refused import SCHEMAS, refused


def settings(scale):
    planned = plan.load(PROJECT, scale)
    values = plan.settings(planned.runs, PROJECT / "notebooks")
    return planned, {name: (planned.runs[name].experiment, values[name]) for name in planned.runs}


@pytest.mark.parametrize("scale", ["smoke", "standard", "full"])
def test_no_run_of_the_projects_scales_is_refused(scale):
    assert refused(settings(scale)[1]) == []


def test_every_notebook_has_its_rules():
    assert set(SCHEMAS) == {path.stem for path in (PROJECT / "notebooks").glob("*.ipynb")}


def test_a_run_is_refused_in_a_line_that_says_what_is_wrong_with_it():
    runs = {
        "vae/a": ("vae", {"architecture": "convolutional", "epochs": "3", "device": "cuda:99"}),
        "vae/b": ("vae", {"epochs": 3}),
        "vae/c": ("vae", {"objective": "iwae"}),
        "ablation/a": ("ablation", {"learning_rates": [0.001, "1e-3"]}),
        "mine/a": ("mine", {"anything": "goes"}),
    }
    lines = refused(runs)
    assert [line.split(": ")[0] for line in lines] == ["vae/a", "vae/c", "ablation/a"]
    assert "architecture = 'convolutional': it must be one of" in lines[0] and "epochs = '3': it must be" in lines[0]
    assert "learning_rates = '1e-3'" in lines[2] and not any("\n" in line for line in lines)


@pytest.mark.slow
def test_a_build_asks_for_the_runs_that_are_due():
    planned, values = settings("smoke")
    planned.runs["vae/mlp-seed0"].parameters["architecture"] = "conf"
    beforehand.check_parameters(planned, set(values) - {"vae/mlp-seed0"}, PROJECT)
    with pytest.raises(
        plan.PlanError,
        match=r"smoke\.yaml has runs that their notebooks refuse:\n  vae/mlp-seed0: architecture = 'conf'",
    ):
        beforehand.check_parameters(planned, ["vae/mlp-seed0"], PROJECT)
