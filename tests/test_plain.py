"""Which runs are compared as architectures: those whose training is not varied, whatever they are called."""

import made_up_scale
import pandas as pd
import pytest

from vaelib.report import tables
from vaelib.report.findings import objectives
from vaelib.report.plain import in_usual_precision, plain_runs, ranking, usual_precision
from vaelib.report.summary import model_name, published_likelihoods
from vaelib.runs.records import table


def vaes(runs: dict) -> pd.DataFrame:
    """The frame of these records, as the report has it."""
    frame = table(runs)
    return frame.assign(model=[model_name(name) for name in frame.index])


def test_a_run_counts_by_its_parameters_and_not_by_its_name():
    runs = {"vae/mine-seed0": made_up_scale.vae("conv", 120.0), "vae/mlp-seed0": made_up_scale.vae("mlp", 130.0)}
    assert ranking(plain_runs(vaes(runs))) == ["mine", "mlp"]
    assert tables.results(vaes(runs), published_likelihoods()).model.tolist()[:2] == ["mine", "mlp"]


def test_runs_of_one_architecture_that_differ_in_length_are_models_of_their_own():
    runs = {f"vae/any{epochs}-seed0": made_up_scale.vae("mlp", 140.0 - epochs, epochs=epochs) for epochs in (3, 9)}
    assert ranking(plain_runs(vaes(runs))) == ["any9", "any3"]


def test_networks_are_ranked_by_their_mean_on_validation_images_and_shown_with_that_on_test_images():
    validation = {"one-seed0": 131.0, "one-seed1": 135.0, "other-seed0": 132.0, "other-seed1": 133.0}
    test = {"one-seed0": 120.0, "one-seed1": 120.0, "other-seed0": 140.0, "other-seed1": 140.0}
    runs = {
        f"vae/{name}": made_up_scale.vae("mlp", nll, exact_nll_validation=validation[name])
        for name, nll in test.items()
    }
    frame = vaes(runs)
    assert ranking(plain_runs(frame)) == ["other", "one"]
    table = tables.results(frame, published_likelihoods())[:2]
    assert table.model.tolist() == ["other", "one"]
    assert table["exact −log p(x)"].tolist() == ["140.00 ± 0.00", "120.00 ± 0.00"]


@pytest.mark.parametrize(
    "variation",
    [{"precision": "float32"}, {"kl_warmup_epochs": 2.0}, {"importance_samples": 5}, {"encoder_epochs": 1}],
    ids=lambda variation: next(iter(variation)),
)
def test_a_variation_of_the_training_is_shown_apart_and_ranked_only_where_there_is_nothing_else(variation):
    runs = {"vae/mlp-seed0": made_up_scale.vae("mlp", 130.0), "vae/varied-seed0": made_up_scale.vae("mlp", 120.0)}
    runs["vae/varied-seed0"]["config"] |= variation
    assert ranking(plain_runs(vaes(runs))) == ["mlp"]
    rows = tables.results(vaes(runs), published_likelihoods()).set_index("protocol").model
    assert rows["Protocol A, this report"] == "mlp"
    apart = None if "precision" in variation else "varied"  # what another precision changes is not told here
    assert rows.get("Protocol A, variations of the training") == apart
    del runs["vae/mlp-seed0"]
    assert ranking(plain_runs(vaes(runs))) == ["varied"]


@pytest.mark.parametrize("other", [{"protocol": "B"}, {"objective": "iwae"}, {"objective": "marginal"}])
def test_what_cannot_be_compared_stands_for_no_architecture(other):
    runs = {"vae/mlp-seed0": made_up_scale.vae("mlp", 130.0, **other), "vae/conv-seed0": made_up_scale.vae("conv", 140)}
    assert ranking(plain_runs(vaes(runs))) == ["conv"]


TRAINED = {  # what a scale trains, by the names of its models
    "mlp": {"architecture": "mlp", "nll": 140.0},
    "conv": {"architecture": "conv", "nll": 135.0},
    "exact": {"architecture": "mlp", "nll": 130.0, "objective": "marginal", "importance_samples": 20},
    "grey": {"architecture": "mlp", "nll": 150.0, "protocol": "B"},
    "dense": {"architecture": "mlp", "nll": -900.0, "protocol": "C"},
}


def scale(precision: str, better: float = 0.0, suffix: str = "") -> dict:
    """A run of each, set to this precision."""
    return {
        f"vae/{name}{suffix}-seed0": made_up_scale.vae(
            **run | {"nll": run["nll"] - better, "encoder_epochs": 1 if name == "exact" else 0}, precision=precision
        )
        for name, run in TRAINED.items()
    }


def models(frame: pd.DataFrame) -> list[set[str]]:
    """The models that the report tells of: in its two tables of likelihoods, and as its decoder on log p(x)."""
    results, trained_by = tables.results(frame, published_likelihoods()), tables.objectives(frame)
    own = results[~results.protocol.str.contains("published")]
    return [set(own.model), set(trained_by["exact −log p(x)"]), set(objectives.exact_runs(frame).model)]


def test_a_run_that_names_another_precision_than_the_usual_one_is_no_model_however_good_it_is():
    usual = vaes(scale("auto"))
    both = vaes(scale("auto") | scale("float32", better=5.0, suffix="-float32"))
    assert models(both) == models(usual) == [{"mlp", "conv", "grey", "dense"}, {"140.00", "130.00"}, {"exact"}]
    assert set(in_usual_precision(both).model) == set(TRAINED)


def test_a_precision_that_a_scale_names_for_all_its_runs_is_the_usual_one():
    float32 = scale("float32")
    assert models(vaes(float32)) == models(vaes(scale("auto")))
    twin = {"vae/mlp-half-seed0": made_up_scale.vae("mlp", 120.0, precision="bfloat16")}
    assert ranking(plain_runs(vaes(float32 | twin))) == ["conv", "mlp"]


def test_of_as_many_architectures_in_two_precisions_auto_is_the_usual_one():
    runs = {"vae/mlp-seed0": made_up_scale.vae("mlp", 130.0), "vae/conv-seed0": made_up_scale.vae("conv", 140.0)}
    runs["vae/conv-seed0"]["config"]["precision"] = "bfloat16"
    assert usual_precision(vaes(runs)) == "auto"
    assert ranking(plain_runs(vaes(runs))) == ["mlp", "conv"]  # which has no other run to stand for it
