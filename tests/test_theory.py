"""The numbers of the theory answers from small tables made by hand."""

import pandas as pd
import pytest

from vaelib.report import theory


@pytest.fixture
def vaes() -> pd.DataFrame:
    """Two architectures, one of them trained on log p(x) too; two seeds of that."""
    common = {"protocol": "A", "approximation_gap": 0.5, "kl": 7.0, "epochs": 3, "importance_samples": 5,
              "latent_dim": 2, "encoder_epochs": 3}  # fmt: skip
    rows = [
        ("vae/big-seed0", "big", "big", "elbo", 130.0, -136.0, 5.5, 60.0, 0.0),
        ("vae/big-iwae5-seed0", "big-iwae5", "big", "iwae", 128.0, -136.0, 7.5, 90.0, 0.0),
        ("vae/big-exact-seed0", "big-exact", "big", "marginal", 124.0, -140.0, 15.5, 50.0, 20.0),
        ("vae/big-exact-seed1", "big-exact", "big", "marginal", 126.0, -142.0, 15.5, 50.0, 20.0),
        ("vae/small-seed0", "small", "small", "elbo", 140.0, -143.0, 2.5, 20.0, 0.0),
    ]
    names = ["run", "model", "architecture", "objective", "exact_nll", "elbo", "amortisation_gap", "train_seconds"]
    frame = pd.DataFrame(rows, columns=[*names, "encoder_seconds"]).set_index("run")
    return frame.assign(**common)


def test_objectives_are_compared_for_the_same_decoder_best_first(vaes):
    table = theory.objectives(vaes)
    assert table["trained by"].tolist() == ["log p(x)", "IWAE, K = 5", "ELBO"]
    assert set(table.decoder) == {"`big`"}
    assert table["exact −log p(x)"].tolist() == ["125.00 ± 12.71", "128.00", "130.00"]  # t(0.975, 1) = 12.706


class Encoders:
    """A summary whose runs fitted their encoders in three epochs."""

    def history(self, run: str) -> pd.DataFrame:
        phases = ["model", "dreams", "encoder", "encoder", "encoder"]
        return pd.DataFrame({"phase": phases, "validation_elbo": [-125.0, -4.0, -160.0, -150.0, -147.0]})


def test_the_price_of_the_bound_is_the_difference_of_exact_likelihoods(vaes):
    values = theory.exact_training(vaes, Encoders())["exact"]
    assert values["model"] == "big-exact" and values["twin"] == "big"
    assert values["price"] == pytest.approx(5.0) and values["gap"] == pytest.approx(16.0)
    assert values["twin_gap"] == pytest.approx(6.0)
    assert (values["points"], values["encoder_still"]) == ("25", pytest.approx(3.0))


def test_the_weight_told_of_is_the_smallest_that_halves_the_label_error_for_at_most_two_nats():
    sweep = pd.DataFrame(
        {
            "judge_error": [0.02, 0.011, 0.004, 0.001],
            "critic_error": [0.02, 0.005, 0.001, 0.0],
            "exact_nll": [120.0, 120.5, 121.5, 125.0],
            "cas": [0.90, 0.92, 0.93, 0.95],
            "precision": [0.9] * 4,
            "recall": [0.05, 0.04, 0.03, 0.01],
            "frechet_distance": [300.0, 250.0, 200.0, 210.0],
        },
        index=[0.0, 1.0, 10.0, 100.0],
    )
    models = ["conditional-2d", "conditional-2d-task1", "conditional-2d-task10", "conditional-2d-task100", "regions-2d"]
    scores = {"validation_accuracy_seed0": [0.970, 0.971, 0.975, 0.972, 0.9]}
    generators = pd.DataFrame({"model": models, "task_weight": [0.0, 1.0, 10.0, 100.0, 0.0], **scores})
    baseline = {"fraction": [0.2, 0.2, 0.5], "seed": [0, 1, 0], "validation_accuracy_real_updates": [0.972, 0.97, 0.98]}
    values = theory.task(sweep, generators, pd.DataFrame(baseline))["task"]
    assert (values["weight"], values["heaviest"]) == ("10", "100")
    assert values["best"]["cost"] == pytest.approx(1.5) and values["heavy"]["cost"] == pytest.approx(5.0)
    assert values["best"]["gain"] == "0.30" and values["plain"]["gain"] == "-0.20"
