"""Classifiers are found by what they were trained on, and every difference that is told goes through one door."""

import re

import made_up_scale
import numpy as np
import pytest

from vaelib.report import gains, names
from vaelib.report.classifiers import Classifiers, Of
from vaelib.report.findings import synthetic
from vaelib.report.summary import Summary


@pytest.fixture
def summary(tmp_path) -> Summary:
    return Summary(made_up_scale.write(tmp_path))


@pytest.fixture
def classifiers(summary) -> Classifiers:
    return Classifiers(summary)


def test_the_main_generator_is_that_of_the_runs_with_and_without_its_images(classifiers):
    assert (classifiers.generator, classifiers.fractions, classifiers.updates) == ("plain", [0.2, 1.0], 500)
    assert (classifiers.studied, classifiers.measured) == ("plain", ["plain"])
    assert classifiers.lengths() == [500, 1000] and classifiers.others() == ["near"]
    assert [classifiers.real_images(fraction) for fraction in (0.2, 1.0)] == [6_000, 30_000]


def test_classifiers_are_found_by_arm_fraction_generator_and_length_one_a_seed(classifiers):
    assert sorted(own.seed for own in classifiers.trained(Of("synthetic"))) == [0, 1]
    (own,) = classifiers.trained(Of("synthetic", generator="near"))
    assert own.correct.mean() == pytest.approx(0.97)
    assert classifiers.trained(Of("synthetic", 1.0, "near")) == []
    (first, second) = classifiers.trained(Of("real", updates=1000))
    assert {first.updates, second.updates} == {1000} and first.correct.mean() == pytest.approx(0.965)


def test_an_arm_without_synthetic_images_is_that_of_any_run(classifiers):
    assert len(classifiers.trained(Of("real", generator="near"))) == 2
    assert classifiers.change(Of("synthetic", generator="near")).runs == 1


def test_a_change_is_that_of_the_seeds_which_both_have(classifiers):
    change = classifiers.change(Of("further"))
    assert (change.mean, change.runs) == (pytest.approx(0.02), 2)
    assert classifiers.change(Of("synthetic_quarter")) is None
    longer = classifiers.longer()
    assert longer.mean == pytest.approx(0.005) and longer.runs == 2


def test_of_equal_epochs_only_the_updates_may_differ(classifiers):
    assert classifiers.change(Of("synthetic", budget="epochs")).mean == pytest.approx(0.015)


def test_generators_are_ranked_by_what_their_images_gain_on_validation_images(summary, classifiers):
    assert classifiers.gain("told").mean == pytest.approx(-0.01)
    assert classifiers.gain("told", against="plain").mean == pytest.approx(0.01)
    table = gains.generators(summary.frame("synthesis"), classifiers)
    assert table.generator.tolist() == [
        "draws around real images, 64-D, β = 0.01",
        "one VAE that is told the label, 2-D, λ = 10",
        "one VAE that is told the label, 2-D",
    ]
    assert table["label error (%)"].tolist() == ["2.0", "0.2", "2.0"] and table["runs"].tolist() == ["1"] * 3
    assert table["gain on validation (points)"][0].startswith("+1.00 ± ")


def test_generators_are_not_compared_with_classifiers_that_were_trained_otherwise(tmp_path):
    records = made_up_scale.records()
    folder = made_up_scale.write(tmp_path, records)
    path = folder / "synthesis/near/accuracies.csv"
    path.write_text(path.read_text().replace("0.004", "0.002"))
    with pytest.raises(ValueError, match=r"differ in learning_rate: 0\.002 and 0\.004"):
        Classifiers(Summary(folder)).gain("near")


def test_fractions_are_compared_under_both_budgets(classifiers):
    table = gains.by_fraction(classifiers)
    assert table["half used"].tolist() == ["20 %", "100 %"] * 2
    assert table["real images"].tolist() == ["6,000", "30,000"] * 2
    assert table["real (%)"].tolist() == ["96.10 ± 1.27"] * 4
    assert [text.split(" ± ")[0] for text in table["change (points)"]] == ["+1.00", "+1.00", "+1.50", "+1.50"]


def test_a_gain_counts_the_seeds_that_are_asked_for_alone(tmp_path):
    records = made_up_scale.records()
    for seed in (0, 1):
        records |= {
            f"synthesis/many-seed{seed}": made_up_scale.generator(0, 2, 0.01, seed=seed),
            f"augmentation/any-seed{seed}": made_up_scale.augmented(0.2, seed),
        }
    classifiers = Classifiers(Summary(made_up_scale.write(tmp_path, records)))
    assert (classifiers.gain("many").runs, classifiers.gain("many", seeds=[1]).runs) == (2, 1)


def test_the_main_table_has_the_generator_of_the_plane_that_gains_most_of_those_measured_at_all_fractions(tmp_path):
    def added(name, fraction):
        changes = {"generator_run": f"any/synthesis/{name}", "arms": ["synthetic"], "budgets": ["updates"]}
        return {f"augmentation/{name}-{fraction}": made_up_scale.augmented(fraction, 0, **changes)}

    records = made_up_scale.records()
    records |= {
        f"synthesis/{name}": made_up_scale.generator(0, 2, gain) for name, gain in (("here", 0.02), ("once", 0.03))
    }
    records |= added("here", 0.2) | added("here", 1.0) | added("once", 0.2)
    summary = Summary(made_up_scale.write(tmp_path, records))
    found = Classifiers(summary)
    assert (found.measured, found.generator, found.studied) == (["here", "plain"], "here", "plain")
    table = gains.by_fraction(found)
    assert table["half used"].tolist() == ["20 %", "100 %"] and table["runs"].tolist() == ["1", "1"]
    assert {title.split(":")[0] for title in gains.by_arm(found).kind} >= {"With images of", "Beside moved copies"}
    values = synthetic.synthetic_worth(summary.frame("augmentation"), summary.frame("synthesis"), found)["worth"]
    assert "equal epochs" not in values["answer"]
    assert values["beyond"].startswith(" Images of other generators, added to the real ones ")
    told = synthetic.generators(summary.frame("synthesis"), found, summary.frame("vae"))["generators"]
    assert told["choice"] == (
        "Of those in two dimensions that were measured at all sizes, @tbl:augmentation has the best, *one VAE that is "
        "told the label, 2-D*."
    )


def test_the_best_vae_that_knows_no_labels_stands_in_the_main_table_too_whatever_another_gains(tmp_path):
    records = made_up_scale.records()
    for name, gain, changes in (("read", -0.04, {}), ("tasked", -0.03, {"task_weight": 5.0})):
        kind = {"generator": "classified", "epochs": 1, **changes}
        records[f"synthesis/{name}"] = made_up_scale.generator(0, 2, gain, **kind)
        added = {"generator_run": f"any/synthesis/{name}", "arms": ["synthetic"], "budgets": ["updates"]}
        records |= {f"augmentation/{name}-{at}": made_up_scale.augmented(at, 0, **added) for at in (0.2, 1.0)}
    summary = Summary(made_up_scale.write(tmp_path, records))
    found, generators = Classifiers(summary), summary.frame("synthesis")
    assert (found.measured, found.tabled) == (["plain", "tasked", "read"], ["read", "plain"])
    assert list(gains.by_fraction(found)["images of"].unique()) == [
        "Samples, labelled by a classifier, 2-D; equal updates",
        "One VAE that is told the label, 2-D; equal updates",
        "One VAE that is told the label, 2-D; equal epochs, so twice the updates",
    ]
    told = synthetic.generators(generators, found, summary.frame("vae"))["generators"]
    assert told["choice"].endswith("and the best that knows no labels, *samples, labelled by a classifier, 2-D*.")
    assert told["shorter"].startswith(" For time's sake it makes 110 updates, where the same network in @tbl:results ")
    worth = synthetic.synthetic_worth(summary.frame("augmentation"), generators, found)["worth"]
    assert "images of a VAE as in @sec:results (*samples, labelled by a classifier, 2-D*) change" in worth["answer"]
    assert "; those of *one VAE that is told the label, 2-D* by +1.00 ± " in worth["answer"]
    others = ["draws around real images, 64-D, β = 0.01", "samples, labelled by a classifier, 2-D, λ = 5"]
    assert re.findall(r"\*(.*?)\*", worth["beyond"]) == others


def test_where_the_main_table_has_all_that_were_measured_at_all_sizes_none_is_called_the_best(tmp_path):
    records = made_up_scale.records()
    records["synthesis/read"] = made_up_scale.generator(0, 2, -0.04, generator="classified")
    added = {"generator_run": "any/synthesis/read", "arms": ["synthetic"], "budgets": ["updates"]}
    records |= {f"augmentation/read-{at}-{seed}": made_up_scale.augmented(at, seed, **added)
                for at in (0.2, 1.0) for seed in (0, 1)}  # fmt: skip
    summary = Summary(made_up_scale.write(tmp_path, records))
    found = Classifiers(summary)
    told = synthetic.generators(summary.frame("synthesis"), found, summary.frame("vae"))["generators"]
    assert told["choice"] == (
        "@tbl:augmentation has *one VAE that is told the label, 2-D* and *samples, labelled by a classifier, 2-D*, the "
        "only ones in two dimensions that were measured at all sizes."
    )
    worth = synthetic.synthetic_worth(summary.frame("augmentation"), summary.frame("synthesis"), found)["worth"]
    assert worth["leads"] == ", certainly more than images of either of these VAEs"


@pytest.fixture
def worth(tmp_path, monkeypatch):
    """What is told where these arms have these accuracies."""

    def of(**arms: float):
        for arm, accuracy in arms.items():
            monkeypatch.setitem(made_up_scale.ARMS, arm, accuracy)
        summary = Summary(made_up_scale.write(tmp_path))
        of_generators = summary.frame("synthesis")
        return synthetic.synthetic_worth(summary.frame("augmentation"), of_generators, Classifiers(summary))["worth"]

    return of


def test_where_even_further_real_images_bring_no_gain_equal_updates_are_said_to_say_little(worth):
    answer = worth(further=0.96)["answer"]
    assert "At 20 and 100 % equal updates say little: even further real images change it there by +0.00 ± " in answer
    assert ", with equal epochs by +0.50 ± " in answer


def test_where_further_real_images_bring_a_gain_equal_updates_are_not_doubted(worth):
    assert "say little" not in worth(further=0.98)["answer"]


@pytest.mark.parametrize("arms", [{"afresh": 0.97}, {"afresh": 0.96, "synthetic": 0.94}])
def test_moving_the_real_images_is_called_better_only_where_it_gains_and_certainly_more(worth, arms):
    assert worth(**arms)["leads"] == ""


def test_a_length_that_one_run_alone_has_is_told_with_its_number(tmp_path):
    records = made_up_scale.records()
    records["augmentation/longest"] = made_up_scale.augmented(0.2, 0, updates=[2000])
    summary = Summary(made_up_scale.write(tmp_path, records))
    told = synthetic.synthetic_worth(summary.frame("augmentation"), summary.frame("synthesis"), Classifiers(summary))
    assert re.fullmatch(r"\S+ ± \S+ points \(500 updates\) and \S+ ± \S+ \(2,000; 1 run\)", told["worth"]["by_updates"])


def test_arms_in_the_table_whose_labels_do_not_say_all_are_explained(classifiers):
    assert gains.explained(gains.by_arm(classifiers)) == (
        "*real + affine copies*: copies turned, shifted and scaled once and for all; *real, moved afresh*: all images "
        "turned, shifted and scaled anew in every batch"
    )


@pytest.mark.parametrize(
    ("share", "said"),
    [
        (None, ""),
        (0.0, ""),
        (0.015, " Of a digit that comes too rarely, the samples most like it are taken: "
         "1.5 % of the images of *samples, labelled by a classifier, 2-D*."),
    ],
)  # fmt: skip
def test_it_is_told_which_generator_makes_too_few_of_a_digit(tmp_path, share, said):
    records = made_up_scale.records()
    records["synthesis/rare"] = made_up_scale.generator(0, 2, 0.01, generator="classified")
    records["synthesis/rare"]["metrics"] |= {} if share is None else {"filled_share": share}
    summary = Summary(made_up_scale.write(tmp_path, records))
    values = synthetic.generators(summary.frame("synthesis"), Classifiers(summary), summary.frame("vae"))
    assert values["generators"]["filled"] == said


def test_arms_are_set_beside_what_they_differ_from_by_one_thing(classifiers):
    table = gains.by_arm(classifiers).set_index("trained on")
    assert table.against["real + synthetic, moved afresh"] == "real, moved afresh"
    assert table["change (points)"]["real + synthetic, moved afresh"].startswith("-0.10 ± ")
    assert table.kind["real + synthetic, 20 %"] == "With images of: draws around real images, 64-D, β = 0.01"
    assert "real + 1/4 synthetic" not in table.index  # which was not trained


def test_what_charts_are_drawn_from_has_a_row_for_each_classifier_that_was_trained(classifiers):
    points = gains.by_images(classifiers, ["real", "synthetic_half"])
    assert sorted(set(points.real_images)) == [6_000, 30_000] and set(points.arm) == {"real"}
    assert np.allclose(sorted(points.accuracy), [96.0, 96.0, 96.2, 96.2])
    curve = gains.by_updates(classifiers, ["real"]).groupby("updates").accuracy.mean()
    assert curve.to_dict() == pytest.approx({500: 96.1, 1000: 96.6})


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"generator": "classified", "certainty": 0.5}, "samples, labelled by a classifier, 2-D, certainty ≥ 0.5"),
        ({"generator": "regions", "split": "second_half"}, "samples, labelled by their region, 2-D, closed set"),
        ({"pixels": "sample", "latent_dim": 16}, "one VAE that is told the label, 16-D, pixels drawn"),
    ],
)
def test_a_generator_is_called_by_what_it_is(changes, name):
    usual = {"generator": "conditional", "latent_dim": 2, "certainty": 0.0, "beta": 1.0, "task_weight": 0.0}
    assert names.generator(usual | {"pixels": "mean", "split": "first_half"} | changes) == name
