"""A scale is checked by the rules by which the report finds its runs."""

import itertools
import sys

import made_up_scale
import pytest
from toy import PROJECT

sys.path.insert(0, str(PROJECT / "workflow"))

import needs
import plan

from vaelib.report.findings import objectives
from vaelib.report.plain import plain_runs, usual_precision
from vaelib.runs.records import table
from vaelib.synthetic import arms

RUNS = {
    f"vae/{architecture}-{objective}-{precision}-{draws}": made_up_scale.vae(
        architecture, 130.0, objective=objective, precision=precision, importance_samples=draws
    )
    for architecture, objective, precision, draws in itertools.product(
        ("mlp", "conv"), ("elbo", "marginal"), ("auto", "float32", "bfloat16"), (1, 8)
    )
}


@pytest.mark.parametrize(
    "left_out",
    [
        (),
        ("auto",),
        ("auto-1",),
        ("mlp-elbo-auto",),
        ("conv-elbo-auto", "mlp-elbo-auto", "mlp-elbo-bfloat16"),
        ("auto", "bfloat16"),
        ("elbo",),
    ],
)
def test_the_scale_and_the_report_know_the_same_precision_and_the_same_plain_and_exact_runs(left_out):
    runs = {name: run for name, run in RUNS.items() if not any(part in name for part in left_out)}
    frame, settings = table(runs), {name: run["config"] for name, run in runs.items()}
    assert needs._usual_precision(settings) == usual_precision(frame)
    assert needs._plain(settings) == set(plain_runs(frame).index)
    assert needs._exact(settings) == set(objectives.exact_runs(frame).index)


def test_a_scale_demands_the_fraction_and_the_settings_by_which_synthesis_compares_generators():
    assert needs.FRACTION == arms.CHOICE_FRACTION
    compared = {"batch_size": arms.BATCH_SIZE, "learning_rate": arms.LEARNING_RATE}
    assert compared == {name: needs.SETTINGS[name] for name in compared}


def test_a_decoder_on_log_px_in_another_precision_than_the_usual_one_is_not_enough():
    runs = {
        "vae/mlp-seed0": {"objective": "elbo", "protocol": "A", "architecture": "mlp", "precision": "auto"},
        "vae/conv-seed0": {"objective": "elbo", "protocol": "A", "architecture": "conv", "precision": "auto"},
        "vae/exact-seed0": {"objective": "marginal", "protocol": "A", "architecture": "mlp", "precision": "float32"},
        "latent_space/one": {"vae_run": "vae/mlp-seed0"},
        "latent_space/other": {"vae_run": "vae/exact-seed0"},
    }
    assert needs.lacking(runs, ["vae", "latent_space"]) == [
        "a run of vae with objective marginal under protocol A, precision auto",
        "a run of latent_space that looks at a model with objective marginal, precision auto",
    ]
    for run in runs.values():
        run["precision"] = "float32"
    assert needs.lacking(runs, ["vae", "latent_space"]) == []


@pytest.fixture(scope="module")
def full():
    """The settings of the full scale's runs, with one changed: `full("vae/conv-seed0", epochs=3)`."""
    settings = plan.settings(plan.load(PROJECT, "full").runs, PROJECT / "notebooks")
    return lambda name, **changes: settings | {name: settings[name] | changes}


def lacking(runs):
    return needs.lacking(runs, {name.split("/")[0] for name in runs})


@pytest.mark.parametrize("train_images", [0, 6001])
def test_a_generator_of_the_other_half_leaves_the_images_that_all_are_chosen_by(full, train_images):
    name = "synthesis/conditional-2d-closed-seed1"
    assert lacking(full(name, train_images=train_images)) == [
        f"train_images from 1 to 6,000 in {name}, 20% of its half, since split is second_half"
    ]
    assert lacking(full(name, train_images=5000)) == []
    assert len(list(needs.seen_too_much(full(name), half=29_000))) == 3  # one for each seed


def test_runs_of_baselines_are_seeds_of_one_model(full):
    runs = full("baselines/small")
    again = runs["baselines/small"] | {"seed": 1}
    assert lacking(runs | {"baselines/small-seed1": again}) == []
    assert lacking(runs | {"baselines/small-seed1": again | {"epochs": 3, "points": 729}}) == [
        "one model alone in baselines, of as many seeds as you like: its runs differ in points, epochs"
    ]


def test_runs_of_ablation_of_one_architecture_are_seeds_of_one_run(full):
    assert lacking(full("ablation/resmlp-seed1", epochs=3)) == [
        "one run alone of resmlp in ablation, of as many seeds as you like: its runs differ in epochs"
    ]


def test_vaes_are_measured_on_all_images_that_baselines_are_measured_on(full):
    expected = ["no more test_images in baselines than in vae (0 takes all), to compare on the same images"]
    assert lacking(full("vae/conv-seed0", test_images=1000)) == expected
    assert lacking(full("vae/conv-seed0", test_images=2000)) == []
    assert lacking(full("vae/conv-grey-seed0", test_images=1000)) == []  # it is not among those that are compared
    assert lacking(full("baselines/small", test_images=0)) == []


def test_objectives_are_compared_on_the_same_images(full):
    expected = ["the same gap_images in all vae_runs of exact_training/decoders"]
    assert lacking(full("vae/mlp-seed0", gap_images=10)) == expected


def test_the_generators_of_a_task_differ_in_task_weight_alone(full):
    assert lacking(full("synthesis/conditional-2d-task10-seed2", epochs=3, learning_rate=0.001)) == [
        "generators that differ in task_weight alone in task/conditional-seed2, not in epochs, learning_rate"
    ]


def test_the_appendices_can_be_left_out(full):
    runs = {name: run for name, run in full("vae/conv-seed0").items() if not name.startswith(("ablation", "baselines"))}
    assert needs.lacking(runs, needs.CONDITIONS) == []
