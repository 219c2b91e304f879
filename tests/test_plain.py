"""Which runs are compared as architectures: those whose training is not varied, whatever they are called."""

import made_up_scale
import pandas as pd
import pytest

from vaelib.report import tables
from vaelib.report.plain import plain_runs, ranking
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
    assert rows["Protocol A, variations of the training"] == "varied"
    del runs["vae/mlp-seed0"]
    assert ranking(plain_runs(vaes(runs))) == ["varied"]


@pytest.mark.parametrize("other", [{"protocol": "B"}, {"objective": "iwae"}, {"objective": "marginal"}])
def test_what_cannot_be_compared_stands_for_no_architecture(other):
    runs = {"vae/mlp-seed0": made_up_scale.vae("mlp", 130.0, **other), "vae/conv-seed0": made_up_scale.vae("conv", 140)}
    assert ranking(plain_runs(vaes(runs))) == ["conv"]
