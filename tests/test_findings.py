"""The sentences of the report that depend on how the numbers came out, and the numbers of its theory answers."""

import made_up_scale
import numpy as np
import pandas as pd
import pytest

from vaelib.report.classifiers import Classifiers
from vaelib.report.findings import architectures, failures, machine, objectives, theory
from vaelib.report.summary import Summary


@pytest.mark.parametrize(
    ("epochs", "told"),
    [
        (10, " In the last 2 epochs the validation ELBO of *mine* changed by +2.00 nats."),
        (4, " In the last epoch the validation ELBO of *mine* changed by +1.00 nats."),
        (1, ""),
    ],
)
def test_the_end_of_a_learning_curve_is_the_last_fifth_of_its_epochs_if_there_are_several(epochs, told):
    phases = ["training"] * epochs + ["encoder"] * 2
    elbo = [*(-150.0 + i for i in range(epochs)), -200.0, -100.0]
    history = pd.DataFrame({"phase": phases, "validation_elbo": elbo})
    assert architectures.curves(history, "mine") == {"curves": {"last": told}}


@pytest.mark.parametrize(
    ("shape", "whose", "why"),
    [
        (2.0, "a Gaussian is good enough", "nearly all of it because the encoder"),
        (10.0, "the encoder costs more than", "most of it because the encoder"),
        (50.0, "the Gaussian's shape costs", "most of it because no Gaussian"),
    ],
)
def test_a_gaussian_is_good_enough_where_its_shape_costs_less_than_a_tenth_of_the_gap(shape, whose, why):
    blamed = architectures._blamed(shape)
    assert blamed["whose"].startswith(whose) and blamed["why"].startswith(why)


@pytest.mark.parametrize(("iwae_nll", "told"), [(129.5, ""), (128.75, "; a negative number is chance")])
def test_an_estimate_on_the_wrong_side_of_the_exact_value_is_said_to_be_chance(iwae_nll, told):
    shown = pd.DataFrame({"iwae_nll": [iwae_nll, 130.0], "gap_exact_nll": 129.0})
    assert architectures.bound(shown) == {"below": {"least": iwae_nll - 129.0, "most": 1.0, "chance": told}}


def test_a_lead_is_told_over_the_second_and_over_the_last_where_that_is_another():
    two = pd.DataFrame({"model": ["a", "b"], "exact_nll": [130.0, 131.5]})
    three = pd.DataFrame({"model": ["a", "b", "c"], "exact_nll": [130.0, 131.5, 140.0]})
    caution = " (one seed each, so not for certain)"
    assert architectures._lead(two, ["a", "b"]) == f"1.5 nats before *b*{caution}"
    assert architectures._lead(three, ["a", "b", "c"]) == f"1.5 nats before *b*{caution} and 10.0 before *c*"


def test_a_network_that_is_best_on_validation_images_alone_is_said_to_be_behind_and_not_for_certain():
    vaes = pd.DataFrame({"model": ["a", "b", "c"], "exact_nll": [130.0, 129.5, 140.0]})
    caution = " (one seed each, so not for certain)"
    assert architectures._lead(vaes, ["a", "b", "c"]) == f"0.5 nats behind *b*{caution} and 10.0 before *c*"


@pytest.mark.parametrize(
    ("best", "second", "told"),
    [
        ([-1.0, 0.0, 1.0], [1.26, 2.26, 3.26], " (Welch's test does not tell them apart, so not for certain)"),
        ([-1.0, 0.0, 1.0], [1.28, 2.28, 3.28], ""),  # t = 2.79 with 4 degrees of freedom; tables ask for 2.776
        ([1.28, 2.28, 3.28], [-1.0, 0.0, 1.0], " (Welch's test does not tell them apart, so not for certain)"),
        ([5.0, 5.0], [5.0, 5.0], " (Welch's test does not tell them apart, so not for certain)"),
        ([120.0], [128.5, 129.5, 130.5], " (one of the two has one seed, so not for certain)"),
        ([120.0], [129.5], " (one seed each, so not for certain)"),
    ],
    ids=["too small a lead", "a lead", "the other way round", "no spread", "one seed of one", "one seed each"],
)
def test_a_lead_that_the_seeds_do_not_decide_is_called_uncertain(best, second, told):
    vaes = pd.DataFrame({"model": ["a"] * len(best) + ["b"] * len(second), "exact_nll": best + second})
    assert architectures._caution(vaes, "a", "b") == told


# --- the machine -------------------------------------------------------------------------------------------------


def words_of_machine(folder, records):
    """What is said of machine and precision, for these records of VAEs."""
    summary = Summary(made_up_scale.write(folder, records))
    best = summary.run("vae/mlp-seed0")
    return machine.machine(summary, best), machine.precision(summary, best)


def test_seconds_are_told_with_device_threads_and_runs_side_by_side(tmp_path):
    graphics = {"device": "NVIDIA H100 80GB HBM3", "runs_side_by_side": 4, "precision": "tf32"}
    said, precision = words_of_machine(tmp_path, {"vae/mlp-seed0": made_up_scale.vae("mlp", 130.0, 0, graphics)})
    assert said["timing"] == (
        "measured on NVIDIA H100 80GB HBM3, one processor thread a run, up to 4 runs side by side"
    )
    assert said["provenance"]["device"] == "NVIDIA H100 80GB HBM3"
    assert "ran in TF32" in precision and "measurements in float32" in precision and "bfloat16" not in precision


def test_every_device_is_named_where_a_scale_was_computed_on_two(tmp_path):
    runs = {
        "vae/mlp-seed0": made_up_scale.vae("mlp", 130.0, 0, {"runs_side_by_side": 1, "threads": 8}),
        "task/any": made_up_scale.record({}, {}, device="Another"),
    }
    said, _ = words_of_machine(tmp_path, runs)
    assert said["provenance"]["device"] == "A processor and Another"
    assert said["provenance"]["cost"].startswith("1 run in ") and said["provenance"]["cost"].endswith(" on Another")
    assert " on A processor and 1 run in " in said["provenance"]["cost"]
    assert said["provenance"]["commit"] == "0123456789" and said["provenance"]["other_commits"] == ""
    assert said["timing"] == "measured on A processor, 8 processor threads a run, one run at a time"


def test_the_time_is_that_with_any_run_at_work_and_the_date_that_of_the_last(tmp_path):
    times = [("05-01T10:00", "05-01T10:40"), ("05-01T10:30", "05-01T11:00"), ("05-02T08:00", "05-02T08:15")]
    runs = {
        f"vae/mlp-seed{i}": made_up_scale.vae("mlp", 130.0, i, {"started": f"2026-{a}:00", "finished": f"2026-{b}:00"})
        for i, (a, b) in enumerate(times)
    }
    said, _ = words_of_machine(tmp_path, runs)
    assert said["provenance"]["cost"] == "3 runs in 1 h 15 min on A processor"
    assert said["provenance"]["date"] == "2 May 2026"


@pytest.mark.parametrize(
    ("commits", "changes"),
    [(["abc+", "abc"], ", with changes that are not committed"), (["abc", "def+"], ", with changes that are not "
     "committed"), (["abc", "abc"], ""), ([None, None], "")],
)  # fmt: skip
def test_code_that_was_not_committed_is_told_of(commits, changes, tmp_path):
    first, second = ({"commit": commit} for commit in commits)
    runs = {
        "vae/mlp-seed0": made_up_scale.vae("mlp", 130.0, 0, first),
        "task/any": made_up_scale.record({}, {}, **second),
    }
    said, _ = words_of_machine(tmp_path, runs)
    assert said["provenance"]["commit"] == (commits[0] or "unknown").rstrip("+")
    assert said["provenance"]["changes"] == changes


def test_every_commit_that_runs_were_computed_from_is_named(tmp_path):
    runs = {f"vae/mlp-seed{i}": made_up_scale.vae("mlp", 130.0, i, {"commit": c}) for i, c in enumerate("abbc")}
    said, _ = words_of_machine(tmp_path, runs)
    assert said["provenance"]["commit"] == "a"
    assert said["provenance"]["other_commits"] == ", 2 runs from `b`, 1 run from `c`"


def test_the_cost_of_the_usual_precision_is_told_by_twins_in_float32(tmp_path):
    float32 = {"precision": "float32"}
    slow = float32 | {"train_seconds": 15.0}
    marginal = {"objective": "marginal", "importance_samples": 64}
    classifier = {"epochs": 3, "seed": 0, "precision": "auto"}
    runs = {
        "vae/mlp-longer-seed0": made_up_scale.vae("mlp", 120.0, 0, float32, precision="float32", epochs=99),
        "vae/mlp-any-seed0": made_up_scale.vae("mlp", 129.0, 0, float32, **slow),
        "vae/mlp-any-seed1": made_up_scale.vae("mlp", 130.5, 1, float32, **slow),
        "vae/mlp-seed0": made_up_scale.vae("mlp", 130.0),
        "vae/mlp-seed1": made_up_scale.vae("mlp", 130.5, 1),
        "vae/exact-any": made_up_scale.vae("mlp", 126.0, 0, float32, **slow, **marginal),
        "vae/exact": made_up_scale.vae("mlp", 125.75, 0, **marginal),
        "classifier/any": made_up_scale.record(
            classifier | float32, {"test_accuracy": 0.99, "train_seconds": 4.0}, **float32
        ),
        "classifier/all": made_up_scale.record(classifier, {"test_accuracy": 0.992, "train_seconds": 2.0}),
    }
    _, precision = words_of_machine(tmp_path, runs)
    half = 6.3531  # 0.5 times Student's quantile for two values, 12.706
    assert precision == (
        "Matrix products in training ran in bfloat16, all measurements in float32. What less precision changes is "
        "told by the same runs in float32. bfloat16 minus float32: "
        f"*256–128 ReLU* 0.50 ± {half:.2f} nats (float32 took 1.5 times as long); "
        "*256–128 ReLU, by log p(x)* -0.25 nats (float32 took 1.5 times as long); "
        "the classifier on all images 0.20 points of accuracy (float32 took 2.0 times as long). "
        "(Means over pairs of equal seeds, with 95 % intervals where there are several.)"
    )


def test_nothing_is_compared_where_everything_was_trained_in_float32(tmp_path):
    plain = {"precision": "float32"}
    runs = {
        "vae/mlp-float32-seed0": made_up_scale.vae("mlp", 129.0, 0, plain, precision="float32"),
        "vae/mlp-seed0": made_up_scale.vae("mlp", 129.0, 0, plain),
    }
    _, precision = words_of_machine(tmp_path, runs)
    assert precision == "Matrix products ran in float32, in training and in measurements."


def test_the_cost_of_every_precision_that_a_scale_names_is_told_and_a_run_that_comes_twice_counts_once(tmp_path):
    plain, half = {"precision": "float32"}, {"precision": "bfloat16"}
    runs = {
        "vae/mlp-seed0": made_up_scale.vae("mlp", 129.5, 0, {"precision": "tf32"}),
        "vae/mlp-float32-seed0": made_up_scale.vae("mlp", 129.0, 0, plain, precision="float32"),
        "vae/mlp-bfloat16-seed0": made_up_scale.vae("mlp", 129.25, 0, half, precision="bfloat16"),
        "vae/mlp-again-seed0": made_up_scale.vae("mlp", 129.25, 0, half),
    }
    _, precision = words_of_machine(tmp_path, runs)
    assert precision == (
        "Matrix products in training ran in TF32 (float32 with 10 bits of mantissa), all measurements in float32. What "
        "less precision changes is told by the same runs in float32. TF32 minus float32: *256–128 ReLU* 0.50 "
        "nats. bfloat16 minus float32: *256–128 ReLU* 0.25 nats. "
        "(Means over pairs of equal seeds, with 95 % intervals where there are several.)"
    )


def test_each_network_s_cost_is_told_for_itself(tmp_path):
    plain = {"precision": "float32"}
    runs = {
        "vae/mlp-seed0": made_up_scale.vae("mlp", 130.0),
        "vae/conv-seed0": made_up_scale.vae("conv", 140.0),
        "vae/grey-seed0": made_up_scale.vae("mlp", 150.0, protocol="B"),
        "vae/mlp-float32-seed0": made_up_scale.vae("mlp", 129.0, 0, plain, precision="float32"),
        "vae/conv-float32-seed0": made_up_scale.vae("conv", 137.0, 0, plain, precision="float32"),
        "vae/grey-float32-seed0": made_up_scale.vae("mlp", 145.0, 0, plain, protocol="B", precision="float32"),
    }
    assert (
        "bfloat16 minus float32: *256–128 ReLU* 1.00 nats; *convolutional* 3.00 nats; "
        "*256–128 ReLU, grey pixels* 5.00 nats."
    ) in words_of_machine(tmp_path, runs)[1]


def test_twins_on_different_devices_are_none(tmp_path):
    runs = {
        "vae/mlp-seed0": made_up_scale.vae("mlp", 130.0),
        "vae/mlp-float32-seed0": made_up_scale.vae(
            "mlp", 129.0, 0, {"precision": "float32", "device": "Another"}, precision="float32"
        ),
    }
    assert " minus " not in words_of_machine(tmp_path, runs)[1]


def test_an_emulated_precision_is_called_so(tmp_path):
    old = {"device": "An old processor", "precision": "float32"}
    half = old | {"precision": "bfloat16", "emulated": True}
    runs = {
        "vae/mlp-seed0": made_up_scale.vae("mlp", 130.0, 0, {"precision": "float32"}),
        "vae/mlp-float32-seed0": made_up_scale.vae("mlp", 129.0, 0, old, precision="float32"),
        "vae/mlp-bfloat16-seed0": made_up_scale.vae("mlp", 129.25, 0, half, precision="bfloat16"),
    }
    _, precision = words_of_machine(tmp_path, runs)
    assert (
        "bfloat16 (emulated on An old processor: products summed in float32, then rounded) minus float32: "
        "*256–128 ReLU* 0.25 nats."
    ) in precision


# --- theory ------------------------------------------------------------------------------------------------------


@pytest.fixture
def vaes() -> pd.DataFrame:
    """Two architectures, one of them trained on log p(x) too; two seeds of that."""
    common = {"protocol": "A", "approximation_gap": 0.5, "epochs": 3, "importance_samples": 5, "latent_dim": 2,
              "encoder_epochs": 3, "precision": "auto", "kl_warmup_epochs": 0.0, "batch_size": 250,
              "train_images": 0}  # fmt: skip
    rows = [
        ("vae/big-seed0", "big", "big", "elbo", 130.0),
        ("vae/big-iwae5-seed0", "big-iwae5", "big", "iwae", 128.0),
        ("vae/big-exact-seed0", "big-exact", "big", "marginal", 124.0),
        ("vae/big-exact-seed1", "big-exact", "big", "marginal", 126.0),
        ("vae/small-seed0", "small", "small", "elbo", 140.0),
    ]
    frame = pd.DataFrame(rows, columns=["run", "model", "architecture", "objective", "exact_nll"]).set_index("run")
    return frame.assign(**common, exact_nll_validation=frame.exact_nll - 1)


def test_the_price_of_the_bound_is_the_difference_of_exact_likelihoods(vaes):
    values = objectives.exact_training(vaes)["exact"]
    assert values["nll"].startswith("125.00 ±") and (values["twin"], values["twin_nll"]) == ("big", "130.00")
    assert values["price"] == pytest.approx(5.0) and values["points"] == "25"
    assert values["lengths"] == values["beyond"] == ""


@pytest.mark.parametrize(
    ("looked_up", "gap", "told", "advice"),
    [
        (126.0, 0.5, "That is not the price of the bound.", True),  # 4 of 5 nats go without an encoder
        (129.0, 0.5, "That is not the price of the bound.", False),
        (None, 0.5, "That is not the price of the bound.", False),
        (126.0, 3.0, "With the best Gaussian for each image the ELBO", False),
    ],
)
def test_the_encoder_is_blamed_only_where_most_of_the_price_goes_with_it(vaes, looked_up, gap, told, advice):
    if looked_up:
        own = vaes.loc["vae/big-seed0"].copy()
        own[["model", "objective", "exact_nll", "exact_nll_validation"]] = "looked up", "lookup", looked_up, 1.0
        vaes = pd.concat([vaes, own.to_frame("vae/big-lookup-seed0").T.infer_objects()])
    values = objectives.exact_training(vaes.assign(approximation_gap=gap))["exact"]
    assert values["whose"].startswith(told)
    assert ("the encoder's price" in values["whose"]) == advice == ("do without one" in values["advice"])


def test_an_exact_objective_that_brings_nothing_has_no_price(vaes):
    vaes.loc[vaes.objective == "marginal", "exact_nll"] = 131.0
    values = objectives.exact_training(vaes)["exact"]
    assert (values["whose"], values["advice"]) == ("Here the exact objective brought nothing.", "")


def test_the_twins_are_as_long_where_they_can_be_and_a_longer_one_is_told_of_apart(vaes):
    small = vaes.loc["vae/small-seed0"].copy()
    small[["model", "objective", "exact_nll", "exact_nll_validation"]] = "small-exact", "marginal", 138.0, 137.0
    both = pd.concat([vaes, small.to_frame("vae/small-exact-seed0").T.infer_objects()])
    both.loc[both.model == "big-exact", "epochs"] = 30
    values = objectives.exact_training(both)["exact"]
    assert (values["nll"], values["twin"], values["lengths"]) == ("138.00", "small", "")
    assert values["price"] == pytest.approx(2.0)
    assert values["beyond"].startswith("The best decoder trained so, *big*, reaches 125.00 ±")
    assert values["beyond"].endswith("nats in 30 epochs in batches of 250.")


def test_of_twins_that_are_not_as_long_both_lengths_are_told(vaes):
    vaes.loc[vaes.model == "big-exact", "epochs"] = 30
    values = objectives.exact_training(vaes)["exact"]
    assert values["lengths"] == " (30 epochs in batches of 250, not 3 epochs in batches of 250)"


@pytest.fixture
def classifiers(tmp_path) -> Classifiers:
    """Generators told by a classifier with weight 0, 1 and 10, of which the second is the most useful."""
    made = {f"synthesis/w{weight}": made_up_scale.generator(weight, 2, gain) for weight, gain in
            ((0, -0.02), (1, 0.005), (10, -0.01))}  # fmt: skip
    return Classifiers(Summary(made_up_scale.write(tmp_path, made_up_scale.records() | made)))


def sweep(kind: str, judge_error: list[float]) -> pd.DataFrame:
    """Weights of a classifier in the loss, from none to too much."""
    return pd.DataFrame(
        {
            "kind": kind,
            "task_weight": [0.0, 1.0, 10.0],
            "model": ["w0", "w1", "w10"],
            "seed": 0,
            "dataset": "MNIST",
            "nll_images": 1000,
            "kept_share": [0.543, 0.0421, float("nan")],
            "judge_error": judge_error,
            "critic_error": [0.02, 0.005, 0.001],
            "exact_nll": [120.0, 120.5, 121.5],
            "cas": [0.90, 0.92, 0.93],
        }
    )


def told_of(sweep: pd.DataFrame, classifiers: Classifiers, **errors: list[float]) -> dict:
    """What is told of a sweep beside generators of these models with these label errors."""
    rows = [(model, error) for model, each in errors.items() for error in each]
    return theory.task(sweep, classifiers, pd.DataFrame(rows, columns=["model", "label_error"]))["task"]


def test_the_weight_is_chosen_by_what_the_images_are_for_and_set_beside_none(classifiers):
    values = told_of(sweep("conditional", [0.02, 0.011, 0.004]), classifiers)
    assert (values["weight"], values["weights"], values["images"]) == ("1", "0, 1 and 10", "1,000")
    assert values["best"]["cost"] == pytest.approx(0.5)
    assert values["gained"].startswith("+2.50 ±") and values["told"] == "one run decides nothing"
    assert values["choice"] == "; above 0, 1 is best on validation images, though not for certain before 10"
    alone = told_of(sweep("conditional", [0.02, 0.011, 0.004])[:2], classifiers)
    assert alone["weight"] == "1" and alone["choice"] == ""


@pytest.mark.parametrize(
    ("seeds", "weight", "choice"),
    [
        ([0, 1, 2], "10", ""),
        ([0], "1", ", but not for certain before 1: the smaller one is taken"),
    ],
    ids=["certainly better", "better in one run"],
)
def test_of_two_weights_the_larger_is_taken_only_where_it_is_certainly_better(tmp_path, seeds, weight, choice):
    made = {
        f"synthesis/w{each}-seed{seed}": made_up_scale.generator(each, 2, gain, seed=seed)
        for each, gain in ((0, -0.02), (1, -0.01), (10, 0.02))
        for seed in seeds
    } | {f"augmentation/any-seed{seed}": made_up_scale.augmented(0.2, seed) for seed in seeds}
    found = Classifiers(Summary(made_up_scale.write(tmp_path, made_up_scale.records() | made)))
    runs = pd.concat([sweep("conditional", [0.02, 0.011, 0.004]).assign(seed=seed) for seed in seeds])
    values = told_of(runs, found)
    assert values["weight"] == weight and values["runs"] == ("3 runs" if len(seeds) == 3 else "1 run")
    assert values["choice"] == f"; above 0, 10 is best on validation images{choice}"


def test_where_a_weight_has_fewer_runs_than_none_both_numbers_are_told(classifiers):
    again = sweep("conditional", [0.02, 0.011, 0.004])[:1].assign(seed=1)
    values = told_of(pd.concat([sweep("conditional", [0.02, 0.011, 0.004]), again]), classifiers)
    assert values["runs"] == "2 runs without it, 1 with it"


@pytest.mark.parametrize(
    ("errors", "remedy"),
    [
        ([0.003, 0.004], " Telling the VAE the label mends more: 0.35 % of its labels are wrong without any critic."),
        ([0.003, 0.15], ""),
        ([0.3, 0.4], ""),
        ([], ""),
    ],
    ids=["certainly fewer", "perhaps by chance", "more", "not measured"],
)
def test_telling_the_label_is_called_the_better_remedy_where_it_certainly_is(classifiers, errors, remedy):
    read = pd.concat([sweep("classified", wrong) for wrong in ([0.2, 0.1, 0.05], [0.21, 0.11, 0.06])])
    told = sweep("conditional", [0.02, 0.01, 0.01]).assign(model=["told", "told1", "told10"])
    assert told_of(pd.concat([read, told]), classifiers, told=errors, w0=[0.2])["remedy"] == remedy
    assert told_of(read, classifiers, told=errors, w0=[0.2])["remedy"] == ""


def test_what_critic_and_judge_say_is_told_of_the_largest_weight_even_where_another_is_best(classifiers):
    values = told_of(sweep("conditional", [0.02, 0.011, 0.004]), classifiers)
    assert values["critic_told"].startswith(
        " With $\\lambda = 10$ the critic finds 0.10 % of the labels wrong and the judge 0.40 %."
    )


def test_the_generator_told_of_is_the_one_with_most_wrong_labels(classifiers):
    both = pd.concat([sweep("conditional", [0.02, 0.011, 0.004]), sweep("regions", [0.2, 0.1, 0.05])])
    assert told_of(both, classifiers)["kind"] == "samples, labelled by their region"
    table = theory.task_table(both, classifiers)
    assert table["λ"].tolist() == ["0", "1", "10"] * 2 and table["label error (%)"].tolist()[3] == "20.00"


def test_the_runs_of_a_sweep_are_told_by_generator_and_seed(tmp_path):
    summary = Summary(made_up_scale.write(tmp_path))
    rows = theory.sweeps(summary.runs("task"), summary.frame("synthesis"))
    assert rows.model.tolist() == ["plain", "told"] and rows.kind.tolist() == ["conditional"] * 2
    assert rows.task_weight.tolist() == [0.0, 10.0] and rows.seed.tolist() == [0, 0]


def test_learning_rates_are_told_with_the_models_they_are_of():
    plain = pd.DataFrame({"model": ["a", "b", "c", "c"], "learning_rate": [0.002, 0.004, 0.004, 0.004]})
    plain = plain.assign(batch_size=250, epochs=[20, 20, 20, 20])
    assert architectures.training(plain)["training"] == {
        "batch": "250", "epochs": "20 epochs", "rates": "rates of 0.002 (*a*) and 0.004 (the others)",
    }  # fmt: skip


def test_the_importance_weighted_bound_is_told_of_with_the_most_samples_beside_the_elbo(vaes):
    vaes = vaes.assign(gap_elbo=-160.0, gap_exact_nll=124.0)
    values = objectives.price_list(vaes.assign(elbo_lookup=0.0, elbo_best_of_nine=0.0, estimate_bias=0.0))
    said = values["price"]["iwae"]
    assert "with $K = 5$ *big* reaches 128.00 nats instead of 130.00." in said
    assert said.endswith("the ELBO with it is 36.0 nats below $\\log p(x)$.")


def test_of_an_encoder_that_was_fitted_one_epoch_alone_no_last_change_is_told():
    history = pd.DataFrame(
        {"phase": ["training", "encoder"], "train_elbo": -140.0, "validation_elbo": [-139.0, -138.5]}
    )
    assert objectives.fitted([history]) == (
        "; one is fitted afterwards, for 1 epoch (its ELBO of training images is 1.5 nats lower than that of "
        "validation images)"
    )
    assert objectives.fitted([history[:1]]) == ""


def test_the_least_likely_images_are_told_of_by_their_ink():
    pixels = np.repeat(np.arange(1, 201, dtype=np.uint8)[:, None], 784, axis=1)  # image after image has more
    run = pd.Series({"dataset": "MNIST", **made_up_scale.vae("mlp", 130.0)["metrics"]})
    told = failures.failures(run, made_up_scale.arrays() | {"log_px": -2.0 * np.arange(200)}, pixels)["failure"]
    assert told["highest"] == 398.0 and told["ink"] == pytest.approx(199.5 / 100.5)  # of the last two of 200
    assert told["ink_correlation"] == pytest.approx(1.0)


@pytest.mark.parametrize(("approximation", "missed"), [(0.1, True), (2.0, False)])
def test_an_image_is_missed_by_the_encoder_where_the_best_gaussian_is_near(approximation, missed):
    gaps = {"amortisation_gap": np.array([10.0, 1.0]), "approximation_gap": np.array([approximation, 5.0])}
    run = pd.Series({"dataset": "MNIST", **made_up_scale.vae("mlp", 130.0)["metrics"]})
    pixels = np.repeat(np.arange(200, dtype=np.uint8)[:, None], 784, axis=1)
    told = failures.failures(run, made_up_scale.arrays() | gaps | {"log_px": -np.arange(200.0)}, pixels)["failure"]
    assert bool(told["missed"]) == missed and told["top_share"] == pytest.approx(100 * 10 / 11)


@pytest.mark.parametrize(
    ("own", "told"),
    [([0.08, 0.09], "sharper"), ([0.02, 0.08], "sharper, though not for certain"), ([0.01, 0.02], "no sharper")],
)
def test_samples_are_sharper_for_certain_only_beyond_the_interval(own, told):
    assert theory._sharper(pd.Series(own), pd.Series([0.020, 0.021])) == told
