"""The report's values from a made-up scale: runs are found by what they are, and every placeholder has its value."""

import json
import re

import made_up_scale
import pytest

from vaelib.files import PROJECT_ROOT, RunError
from vaelib.report import exhibits
from vaelib.report.report import Report


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    return Report(made_up_scale.write(tmp_path_factory.mktemp("results")))


@pytest.fixture(scope="module")
def values(report):
    return dict(exhibits._flatten(report.values()))


EXACT = "convolutional, by log p(x)"


def without(experiment, **changes):
    """The made-up records without one experiment, or one run, and with others instead."""
    return {name: run for name, run in made_up_scale.records().items() if not name.startswith(experiment)} | changes


def test_runs_are_found_by_what_they_are_whatever_they_are_called(report):
    assert report.ranking == ["convolutional", "256–128 ReLU"]
    assert {model: run.name for model, run in report.runs.items()} == {
        "convolutional": "vae/conv-seed0",
        "256–128 ReLU": "vae/mlp-seed1",
    }
    assert list(report.shown.index) == ["vae/conv-seed0", "vae/mlp-seed1"]
    assert (report.best.name, report.plane.name, report.exact_plane.name) == (
        "vae/conv-seed0", "latent_space/third", "latent_space/first",
    )  # fmt: skip
    assert report.plane_vae.name == "vae/conv-seed0"
    assert list(report.objectives.index) == ["vae/conv-seed0", "vae/deep-seed0"]
    assert report.classifier.name == "classifier/whole" and len(report.on_all) == 1
    assert report.chosen.name == "synthesis/plain"


def test_the_plane_is_that_of_the_best_architecture_that_was_looked_into_and_so_are_its_holes(tmp_path):
    records = without("latent_space/third")
    records["vae/mlp-seed1"]["metrics"]["hole_share"] = 0.5
    found = Report(made_up_scale.write(tmp_path, records))
    assert (found.best.name, found.plane.name) == ("vae/conv-seed0", "latent_space/second")
    assert found.values()["plane"] == {"model": "256–128 ReLU", "hole": 50.0, "exact": EXACT}


def test_the_exact_plane_is_that_of_the_best_decoder_that_was_looked_into(tmp_path):
    worse = made_up_scale.vae("conv", 126.0, objective="marginal", importance_samples=32, encoder_epochs=2)
    records = {"latent_space/early": made_up_scale.record({"vae_run": "vae/worse-seed0"}, {})} | made_up_scale.records()
    found = Report(made_up_scale.write(tmp_path, records | {"vae/worse-seed0": worse}))
    assert found.exact_plane.name == "latent_space/first" and found.values()["plane"]["exact"] == f"{EXACT} (deep)"


def test_classifiers_that_were_trained_otherwise_are_not_mixed(tmp_path):
    longer = made_up_scale.records()["classifier/whole"]
    found = Report(made_up_scale.write(tmp_path, made_up_scale.records() | {"classifier/longer": longer}))
    assert list(found.on_all.index) == ["classifier/whole"]


def test_a_vaegan_is_set_beside_the_vae_of_its_pixels_and_length_whatever_that_is_called(tmp_path):
    records = made_up_scale.records()
    records["vaegan/any"]["config"] |= {"architecture": "mlp", "train_images": 0, "epochs": 3}
    records["vaegan/any"]["config"]["compared_runs"] = ["any/vae/mlp-seed1", "any/vae/twin-seed0", "any/vae/grey-seed0"]
    assert (
        Report(made_up_scale.write(tmp_path / "a", records)).values()["vaegan"]["plain"] == "256–128 ReLU, grey pixels"
    )
    for other in ({"architecture": "conv"}, {"train_images": 1000}, {"epochs": 4}, {"batch_size": 50}):
        unlike = records | {
            "vaegan/any": made_up_scale.record(records["vaegan/any"]["config"] | other, made_up_scale.SHARES)
        }
        with pytest.raises(
            RunError, match="compared with no VAE of grey pixels and its own architecture, train_images"
        ):
            Report(made_up_scale.write(tmp_path / next(iter(other)), unlike)).values()


@pytest.mark.parametrize(("share", "said"), [(0.004, "hardly ever made"), (0.04, "none is missing")])
def test_of_a_vaegan_that_hardly_makes_a_digit_mode_dropping_is_told(tmp_path, share, said):
    records = made_up_scale.records()
    records["vaegan/any"]["metrics"] |= {"smallest_class_share": share}
    assert said in Report(made_up_scale.write(tmp_path, records)).values()["vaegan"]["modes"]


def test_the_best_network_is_that_of_validation_images_and_its_numbers_are_those_of_test_images(tmp_path):
    records = made_up_scale.records()
    records["vae/conv-seed0"]["metrics"]["exact_nll_validation"] = 180.0
    found = Report(made_up_scale.write(tmp_path, records))
    best = found.values()["best"]
    assert (best["model"], found.best.name) == ("256–128 ReLU", "vae/mlp-seed1")
    assert best["nll"] == "135.00 ± 12.71" and best["lead"].startswith("5.0 nats behind *convolutional* (")


def test_without_other_fractions_nothing_is_said_of_them(tmp_path):
    worth = Report(made_up_scale.write(tmp_path, without("augmentation/10-"))).values()["worth"]
    assert worth["fractions"] == "20" and worth["answer"].startswith(
        "With 20 % of the half the test accuracy is 96.10 %."
    )


def test_the_line_under_an_exhibit_has_what_its_runs_share(report):
    shared = "protocol A, epochs 3, batch 250, learning rate 0.004"
    assert report.source(report.shown) == f"vae/conv-seed0, vae/mlp-seed1; {shared}"
    assert report.plane.source == "latent_space/third"


@pytest.fixture(scope="module")
def quoted() -> list[tuple[str, str]]:
    """The placeholders in the report's text, captions and front matter: names of values, and their formats."""
    text = (PROJECT_ROOT / "report" / "report.ipynb").read_text(encoding="utf-8")
    parts = (placeholder.partition(":") for placeholder in re.findall(r"\{\{([^{}]*)\}\}", text))
    stored = ("scale", "author")  # by the notebook itself
    return [(name.strip(), spec.strip()) for name, _, spec in parts if name.strip() not in stored]


def test_every_placeholder_of_the_report_has_a_value(values, quoted, monkeypatch):
    assert len(quoted) > 100
    for name, spec in quoted:
        exhibits.format_value(values[name], spec)
    monkeypatch.setattr(exhibits, "display", lambda data, raw: None)
    exhibits.store_values(values)  # refuses what cannot stand in a sentence


def test_every_value_that_the_report_computes_is_quoted(values, quoted):
    unquoted = set(values) - {name for name, _ in quoted}
    assert unquoted == {"dataset"}  # by which the publication knows what the classes are called


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("count.architectures", 2),
        ("count.test", "all 4 test images"),
        ("count.validation", "2"),
        ("count.gap", 3),
        ("best.model", "convolutional"),
        ("best.nll", "130.00"),
        ("best.why", "most of it because the encoder misses the best Gaussian"),
        ("best.whose", "the encoder costs more than the Gaussian's shape"),
        ("best.lead", "5.0 nats before *256–128 ReLU* (one of the two has one seed, so not for certain)"),
        ("best.caution", ", though not for certain"),
        ("quadrature.worst", 0.02),
        ("quadrature.densities", ""),
        ("identity.runs", 6),
        ("failure.highest", 300.0),
        ("failure.largest_gap", 6.1),
        ("failure.top_share", 60.0),
        ("failure.pairs", "4 with 9 and 3 with 5"),
        ("confusions", "9 for 30 % of the 4s, 4 for 20 % of the 9s, 3 for 10 % of the 5s"),
        ("share.most", 1),
        ("share.fewest_percent", 5.0),
        ("plane.model", "convolutional"),
        ("plane.hole", 12.5),
        ("plane.exact", EXACT),
        ("knn.labels", "100, 600 and 1,000"),
        ("knn.accuracies", "70.0, 70.0 and 70.0"),
        ("images.all", "60,000"),
        ("images.held_out", "5,000"),
        ("images.half_held_out", "2,500"),
        ("exact.nll", "124.00"),
        ("exact.twin", "convolutional"),
        ("exact.price", 6.0),
        ("exact.points", "1,024"),
        ("words.classifier_seeds", "1 seed"),
        ("words.worth_runs", "2 runs"),
        ("words.passes", "11 at 20 % and 2.1 at 100 %"),  # 500 * 128 / 6000, and / 30,000
        ("words.vaegan_epochs", "4 epochs"),
        ("brute.grid_error_2", "4.4"),
        ("brute.grid_error_5", "11"),
        ("brute.draws_error_5", "0.5"),
        ("classifier.accuracy", "99.00"),
        ("generators.chosen", "one VAE that is told the label, 2-D"),
        (
            "generators.choice",
            "@tbl:augmentation has *one VAE that is told the label, 2-D*, the only one in two dimensions that was "
            "measured at all sizes.",
        ),
        ("generators.studied", "one VAE that is told the label, 2-D"),
        (
            "worth.answer",
            "With 20 and 100 % of the half the test accuracy is 96.10 and 96.10 %. In equally many updates as many "
            "images of *one VAE that is told the label, 2-D* change it by +1.00 ± 0.59 and +1.00 ± 0.59 points: a "
            "gain; with equal epochs by +1.50 ± 0.73 and +1.50 ± 0.73: a gain. Twice the updates alone, on the real "
            "images, change it by +0.50 ± 0.39 at 20 %.",
        ),
        ("classifier.moved", ", turned, shifted and scaled at random (by at most 15°, 2 pixels and 10 %)"),
        ("training.rates", "a rate of 0.004"),
        (
            "fitted",
            "; one is fitted afterwards, for 2 epochs (the last changed its validation ELBO by +3.0 nats, and its ELBO "
            "of training images is 2.0 nats higher than that of validation images)",
        ),
        (
            "generators.shorter",  # 27,500 / 250 * 5 and 55,000 / 250 * 3
            " For time's sake it makes 550 updates, where the same network in @tbl:results makes 660: longer trained "
            "ones might do better.",
        ),
        ("worth.fractions", "20 or 100"),
        ("worth.synthetic_only", "90.10 ± 1.27"),
        ("worth.further_told", "a gain"),
        ("worth.leads", ", certainly more than images of this VAE"),
        ("worth.useful", "0.1"),
        ("worth.by_updates", "+1.00 ± 0.59 points (500 updates) and +1.00 ± 0.59 (1,000)"),
        ("worth.moved_told", "no gain of 0.1 points or more"),
        ("judge.error", 1.0),
        ("vaegan.distance", "220"),
        ("vaegan.network", "convolutional"),
        ("vaegan.plain", "convolutional, grey pixels"),
        ("vaegan.plain_distance", "250"),
        ("vaegan.distance_told", ", so not for certain"),  # one seed each
        ("vaegan.likeliest", EXACT),
        ("vaegan.sharper", "sharper, though not for certain"),  # one seed each
        ("words.worth", "improve a classifier for certain in 4 of 4 comparisons"),
        ("task.weight", "10"),
        ("task.best.cost", 1.5),
        ("task.choice", ""),  # a single weight
        ("task.runs", "1 run"),
        ("task.too_weak", ""),
        ("task.remedy", ""),  # it is the one that is told the label which has most wrong ones
        ("provenance.device", "A processor"),
        ("provenance.commit", "0123456789"),
        ("provenance.changes", ", with changes that are not committed"),
        ("timing", "measured on A processor, one processor thread a run, up to 2 runs side by side"),
    ],
)
def test_a_value_is_what_the_records_say(values, name, value):
    assert values[name] == (pytest.approx(value) if isinstance(value, float) else value)


def test_of_accuracies_by_few_labels_those_are_told_for_which_there_were_images(tmp_path):
    records = made_up_scale.records()
    del records["vae/conv-seed0"]["metrics"]["knn_accuracy_1000"]  # another run has it
    knn = Report(made_up_scale.write(tmp_path / "two", records)).values()["knn"]
    assert (knn["labels"], knn["accuracies"], knn["published"]) == ("100 and 600", "70.0 and 70.0", "")
    for count in (100, 600):
        del records["vae/conv-seed0"]["metrics"][f"knn_accuracy_{count}"]
    knn = Report(made_up_scale.write(tmp_path / "none", records)).values()["knn"]
    assert (knn["labels"], knn["accuracies"], knn["published"]) == ("no", "–", "")


def test_errors_of_densities_are_told_apart(tmp_path):
    dense = made_up_scale.vae("mlp", -900.0, protocol="C", exact_nll_error=0.5, exact_nll_worst_error=15.9471)
    dense["config"]["likelihood"] = "gaussian"
    found = Report(made_up_scale.write(tmp_path, made_up_scale.records() | {"vae/dense-seed0": dense})).values()
    assert found["quadrature"] == {
        "error": 0.001, "worst": 0.02, "densities": " Under protocol C these are 0.5000 and 15.947.",
    }  # fmt: skip


def test_where_part_of_the_test_images_was_used_that_is_told(tmp_path):
    records = made_up_scale.records()
    records["vae/conv-seed0"]["config"]["test_images"] = 4
    assert Report(made_up_scale.write(tmp_path, records)).values()["count"]["test"] == "the first 4 test images"


def test_the_published_architecture_is_told_of_where_it_is_among_the_runs(values, tmp_path):
    assert (
        "*256–128 ReLU* has the layers of the published N-VAE: importance-weighted, 136.00 ± 12.71 nats against 135.73"
        in values["published.sentence"]
    )
    others = made_up_scale.records()
    for name in ("vae/mlp-seed1", "vae/mlp-seed2"):
        others[name.replace("mlp", "aevb")] = made_up_scale.vae("aevb", 140.0)
        del others[name]
    others["latent_space/second"]["config"]["vae_run"] = "vae/conv-seed0"
    found = Report(made_up_scale.write(tmp_path, others)).values()
    assert found["published"] == {"sentence": ""}


@pytest.mark.parametrize(
    "experiment", ["exact_training", "task", "vaegan", "classifier", "augmentation", "latent_space"]
)
def test_a_scale_without_an_experiment_is_refused_by_its_name(tmp_path, experiment):
    with pytest.raises(RunError, match=f"no run of {experiment}.ipynb"):
        Report(made_up_scale.write(tmp_path, without(experiment)))


def test_a_scale_without_two_architectures_or_an_exact_plane_is_refused(tmp_path):
    with pytest.raises(RunError, match="fewer than two architectures"):
        Report(made_up_scale.write(tmp_path / "one", without("vae/conv")))
    with pytest.raises(RunError, match="an exact decoder"):
        Report(made_up_scale.write(tmp_path / "plain", without("latent_space/first")))


def test_a_scale_that_is_not_finished_is_refused(tmp_path):
    with pytest.raises(RunError, match=r"summary\.json is missing"):
        Report(tmp_path)


def test_the_images_shown_are_the_pixels_that_were_evaluated(report, mnist):
    from vaelib import data

    shown = report.best.test_images()
    assert shown.shape == (10_000, 784) and set(shown[:20].ravel()) == {0, 255}
    assert (shown[:50] == 255 * data.evaluation_pixels(mnist["test"].take(50).images, "A").numpy()).all()


def test_the_notebook_of_the_report_computes_nothing_itself():
    content = json.loads((PROJECT_ROOT / "report" / "report.ipynb").read_text(encoding="utf-8"))
    code = "\n".join("".join(cell["source"]) for cell in content["cells"] if cell["cell_type"] == "code")
    assert not re.search(r"import (pandas|numpy|torch)|\.mean\(|groupby|argsort", code)
