"""What the theory answers say of a decoder's training, of a discriminator and of a classifier in the loss."""

import made_up_scale
import pandas as pd
import pytest

from vaelib.report.classifiers import Classifiers
from vaelib.report.findings import objectives, theory
from vaelib.report.summary import Summary, model_name
from vaelib.runs.records import table

EXACT = {"objective": "marginal", "importance_samples": 20, "encoder_epochs": 1}
LOOKUP = {"objective": "lookup", "encoder_epochs": 1}


def price(precision: str = "auto", **runs: dict) -> dict:
    """The price list of these runs of one network, beside one trained on log p(x)."""
    runs["exact"] = {"nll": 120.0, **EXACT}
    records = {f"vae/{name}-seed0": made_up_scale.vae("mlp", precision=precision, **run) for name, run in runs.items()}
    frame = table(records)
    return objectives.price_list(frame.assign(model=[model_name(name) for name in frame.index]))["price"]


def test_an_objective_s_price_is_told_against_the_twin_trained_for_as_long():
    parts = price(
        plain={"nll": 130.0},
        longer={"nll": 100.0, "epochs": 9},
        smaller={"nll": 160.0, "batch_size": 50},
        warm={"nll": 170.0, "kl_warmup_epochs": 2.0},
        draws={"nll": 128.5, "importance_samples": 8},
        more={"nll": 90.0, "importance_samples": 8, "epochs": 9},
        warm_draws={"nll": 180.0, "importance_samples": 8, "kl_warmup_epochs": 2.0},
        lookup={"nll": 127.0, **LOOKUP},
        long_lookup={"nll": 90.0, "epochs": 9, **LOOKUP},
    )["parts"]  # fmt: skip
    assert parts == (
        "8 draws of $z$ instead of one change the exact value by -1.5 nats. Trained with $q$ looked up among "
        "9,216 latents, the exact value changes by -3.0 nats, and the decoder's ELBO is then 0.25 nats from its "
        "$\\log p(x)$."
    )


def test_of_models_that_were_trained_for_as_long_the_best_is_told_of():
    parts = price(plain={"nll": 130.0}, one={"nll": 129.0, "importance_samples": 8},
                  other={"nll": 126.0, "importance_samples": 8, "learning_rate": 0.002})["parts"]  # fmt: skip
    assert parts == "8 draws of $z$ instead of one change the exact value by -4.0 nats."


def test_a_network_without_a_plain_run_has_a_price_list_too():
    assert price(draws={"nll": 130.0, "importance_samples": 8})["parts"] == ""
    more = price(draws={"nll": 130.0, "importance_samples": 8}, again={"nll": 129.0, "importance_samples": 50})
    assert more["parts"] == "8 draws of $z$ instead of 50 change the exact value by +1.0 nats."


def test_a_scale_in_one_named_precision_has_a_price_list_too():
    parts = price("float32", plain={"nll": 130.0}, draws={"nll": 129.0, "importance_samples": 8})["parts"]
    assert parts == "8 draws of $z$ instead of one change the exact value by -1.0 nats."


def test_what_is_told_of_the_decoder_on_log_px_is_that_of_the_model_that_is_named():
    longer = {"nll": 119.0, "epochs": 9, "estimate_bias": 7.0, "elbo_lookup": -200.0, **EXACT}
    own, both = price(plain={"nll": 130.0}), price(plain={"nll": 130.0}, longer=longer)
    assert own == both and own["bias"] == 0.25 and own["exact_lookup"] == pytest.approx(0.25)


# --- a discriminator ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("own", "plain", "told"),
    [
        ([220.0, 222.0, 221.0], [260.0, 262.0, 261.0], ""),
        ([260.0, 262.0, 261.0], [220.0, 222.0, 221.0], ""),
        ([220.0, 262.0, 241.0], [230.0, 262.0, 261.0], ", so not for certain"),
        ([220.0], [260.0], ", so not for certain"),
    ],
    ids=["nearer", "further away", "within the interval", "one seed"],
)
def test_a_difference_of_distances_that_the_seeds_do_not_decide_is_called_uncertain(own, plain, told):
    distances = {"vaegan": own, "grey": plain, "training images": [1.0]}
    compared = pd.DataFrame(
        {"model": model, "frechet_distance": distance, "sharpness": 0.01}
        for model, each in distances.items()
        for distance in each
    )
    config = {"architecture": "conv", "gamma": 1.0}
    records = pd.DataFrame([config | made_up_scale.SHARES] * len(own))
    assert theory.vaegan(compared, records, "grey", "grey")["vaegan"]["distance_told"] == told


# --- a classifier in the loss ------------------------------------------------------------------------------------


@pytest.fixture
def swept(tmp_path):
    """What is told of generators of a kind with and without a critic, of which a share of the samples was kept."""

    def of(kind: str, **kept: float):
        records = made_up_scale.records()
        for name in ("plain", "told"):
            records[f"synthesis/{name}"]["config"]["generator"] = kind
            records[f"synthesis/{name}"]["metrics"] |= {"kept_share": kept[name]} if name in kept else {}
        summary = Summary(made_up_scale.write(tmp_path, records))
        generators = summary.frame("synthesis")
        sweep, made = theory.sweeps(summary.runs("task"), generators), Classifiers(summary)
        return theory.task(sweep, made, generators)["task"], theory.task_table(sweep, made)

    return of


def test_how_rare_the_rarest_digit_is_is_told_where_it_is_known(swept):
    values, _ = swept("classified", plain=0.5432, told=0.0421)
    assert values["rarest_told"] == (
        " The rarest digit makes up about 5.4 % of the samples without the critic, 0.4 % with $\\lambda = 10$: the "
        "entropy asks for clear digits, not for all of them."
    )
    assert values["too_weak"] == ", but at $\\lambda$ = 10 it was too weak for that: a digit nearly vanished"


@pytest.mark.parametrize(("plain", "told"), [(0.5, 0.6), (0.05, 0.04), (0.5, 0.1)])
def test_the_elbo_is_called_too_weak_only_where_a_critic_makes_a_digit_vanish(swept, plain, told):
    values, _ = swept("classified", plain=plain, told=told)
    assert values["too_weak"] == "" and ("not for all of them" in values["rarest_told"]) == (told < plain)


def test_where_all_samples_were_kept_no_digit_is_called_rare(swept):
    values, table = swept("conditional")
    assert values["rarest_told"] == values["too_weak"] == ""
    assert table["by the critic (%)"].tolist() == ["3.00", "0.10"]
    assert values["critic_told"] == (
        " With $\\lambda = 10$ the critic finds 0.10 % of the labels wrong and the judge 0.40 %. "
        "Where the first falls and the second does not, the generator has learnt to please the critic alone."
    )


def test_the_critic_is_not_asked_about_labels_that_are_its_own_answers(swept):
    values, table = swept("classified", plain=0.5, told=0.5)
    assert table["by the critic (%)"].tolist() == ["–", "–"] and "–" not in set(table["label error (%)"])
    assert values["critic_told"] == (
        " Here the labels are the critic's own answers: wrong are those with which the judge disagrees."
    )


def test_no_digit_is_called_rare_where_that_is_known_for_one_of_the_two_alone(swept):
    values, _ = swept("classified", plain=1.0)
    assert values["rarest_told"] == values["too_weak"] == ""
