"""The report's tables and what its charts are drawn from, from records made by hand."""

import made_up_scale
import numpy as np
import pandas as pd
import pytest

from vaelib.report import ablations, baselines, frames, tables
from vaelib.report.summary import Summary, compared_samples, model_name, published_likelihoods, run_name


@pytest.fixture(scope="module")
def summary(tmp_path_factory):
    return Summary(made_up_scale.write(tmp_path_factory.mktemp("results")))


@pytest.fixture
def vaes(summary):
    return summary.frame("vae")


def test_a_run_is_known_by_its_folder_and_a_model_by_its_runs():
    assert run_name("results/full/vae/mlp-seed0") == run_name("vae/mlp-seed0") == "vae/mlp-seed0"
    assert model_name("vae/conv-exact-seed12") == "conv-exact" and model_name("task/sweep") == "sweep"


def test_architectures_are_listed_with_their_weights(vaes):
    table = tables.networks(vaes)
    assert table.name.tolist() == ["256–128 ReLU", "convolutional"] and table.weights.tolist() == ["1,000", "1,000"]


def test_training_parameters_have_a_row_a_model_and_no_column_that_no_run_used(vaes):
    table = tables.training(vaes).set_index("model")
    assert table.index.tolist() == ["mlp", "conv", "deep", "grey", "twin"] and "KL warm-up" not in table
    assert table.loc["mlp", ["images", "seeds", "best epoch"]].tolist() == ["55,000", "1, 2", "3, 3"]
    assert table.objective.tolist() == ["ELBO", "ELBO", "log p(x)", "ELBO", "ELBO"]
    warm = tables.training(vaes.assign(kl_warmup_epochs=[2.5, 2.5, 0.0, 0.0, 0.0, 0.0]))
    assert warm["KL warm-up"].tolist() == ["2.5 epochs", *["none"] * 4]


def test_other_trainings_have_their_images_length_and_weights(summary):
    table = tables.other_training(summary).set_index("model")
    columns = ["trained", "images", "length", "weights in the cost"]
    assert table.loc["on the first half", columns].tolist() == ["digit classifier", "27,500", "3 epochs", "–"]
    assert table.loc["on all images", "images"] == "55,000"
    assert table.loc["one VAE that is told the label, 2-D, λ = 10", columns].tolist() == [
        "generator",
        "27,500",
        "5 epochs",
        "β = 1, λ = 10",
    ]
    assert table.loc["convolutional", columns].tolist() == ["VAE-GAN", "30,000", "4 epochs", "γ = 1"]
    arms = table.loc["every arm", columns].iloc[0].tolist()
    assert arms == ["classifier in an arm", "6,000", "500 and 1,000 updates", "–"] and not table.duplicated().any()


def test_below_the_results_stands_which_models_were_measured_on_other_images(vaes):
    vaes = vaes.assign(gap_images=3)
    assert tables.fewer_images(vaes, {"test_images": 0, "gap_images": 3}) == ""
    vaes.loc[vaes.model == "grey", ["test_images", "gap_images"]] = 2000, 2
    assert tables.fewer_images(vaes, {"test_images": 0, "gap_images": 3}) == (
        " On the first 2,000 test images, with gaps on the first 2: *grey*."
    )


def test_a_precision_that_a_run_names_is_no_variation_of_the_training(vaes):
    table = tables.results(vaes, published_likelihoods())
    conv = vaes[vaes.model == "conv"]
    exact = conv.assign(model="conv, float32", precision="float32").rename(index="{}-float32".format)
    draws = conv.assign(model="conv, 8 draws", importance_samples=8).rename(index="{}-draws".format)
    both = tables.results(pd.concat([vaes, exact, draws]), published_likelihoods())
    assert set(both.model) - set(table.model) == {"conv, 8 draws"}


def test_results_are_ranked_by_protocol_with_the_published_rows_below(vaes):
    table = tables.results(vaes, published_likelihoods())
    assert table.columns.tolist() == list(tables.RESULTS)
    groups = table.groupby("protocol", sort=False).model.apply(list)
    assert groups.index.tolist() == [
        "Protocol A, this report", "Protocol A, published", "Protocol B, this report", "Protocol B, published",
    ]  # fmt: skip
    assert groups.iloc[0] == ["conv", "mlp"] and groups.iloc[2] == ["twin", "grey"]  # not the one trained on log p(x)
    conv, mlp = (row for _, row in table[:2].iterrows())
    assert conv[["−ELBO", "imp.-weighted", "exact −log p(x)"]].tolist() == ["132.00", "131.00", "130.00"]
    assert mlp[["−ELBO", "exact −log p(x)", "seeds"]].tolist() == ["137.00 ± 12.71", "135.00 ± 12.71", "2"]
    assert conv[["approx. gap", "amort. gap", "training (s)"]].tolist() == ["0.50", "1.50", "10"]
    published = table[table.protocol == "Protocol B, published"].iloc[0]
    assert published["imp.-weighted"] == "144.5 ± 0.4" and published["−ELBO"] == published["seeds"] == "–"


def test_objectives_are_compared_for_the_same_decoder_best_first():
    rows = {
        "vae/big-seed0": made_up_scale.vae("conv", 130.0),
        "vae/big-iwae5-seed0": made_up_scale.vae("conv", 128.0, objective="iwae", importance_samples=5),
        "vae/big-exact-seed0": made_up_scale.vae("conv", 124.0, objective="marginal", encoder_seconds=20.0),
        "vae/big-exact-seed1": made_up_scale.vae("conv", 126.0, 1, objective="marginal", encoder_seconds=20.0),
        "vae/grey-seed0": made_up_scale.vae("conv", 150.0, protocol="B"),
        "vae/small-seed0": made_up_scale.vae("mlp", 140.0),
    }
    frame = pd.DataFrame({name: {**r["config"], **r["metrics"]} for name, r in rows.items()}).T.infer_objects()
    frame["model"] = ["conv", "conv-iwae5", "conv-exact", "conv-exact", "conv-grey", "mlp"]
    table = tables.objectives(frame)
    assert table.columns.tolist() == list(tables.OBJECTIVES)
    assert table["trained by"].tolist() == ["log p(x)", "IWAE, K = 5", "ELBO"]
    assert set(table.decoder) == {"convolutional"}
    assert table["exact −log p(x)"].tolist() == ["125.00 ± 12.71", "128.00", "130.00"]  # t(0.975, 1) = 12.706
    assert table["on training images"].tolist() == ["122.00 ± 12.71", "125.00", "127.00"]
    assert table["gap, looked up"].tolist() == ["0.25 ± 0.00", "0.25", "0.25"]
    assert table["gap, encoder"].tolist() == ["2.00 ± 0.00", "2.00", "2.00"]
    assert table["training (s)"].tolist() == ["10", "10", "10"]


def test_failures_are_in_per_cent_best_network_first(vaes):
    table = tables.failures(vaes[vaes.model.isin(["mlp", "conv"])])
    assert table.model.tolist() == ["conv", "mlp"] and table["samples unsure"].tolist() == ["25.0", "25.0 ± 0.0"]


def test_what_is_taken_away_is_set_beside_the_whole_network_seed_by_seed(tmp_path, summary):
    runs = {
        f"ablation/any-seed{seed}": made_up_scale.record({"architecture": "resmlp", "epochs": 4}, {}) for seed in (0, 1)
    }
    kept = Summary(made_up_scale.write(tmp_path, runs))
    whole = "residual, 4 × 512, learning rate"
    for seed, run in enumerate(runs):
        made_up = pd.DataFrame(
            {"title": [f"{whole} 0.002", f"{whole} 0.004", "without skip connections"],
             "variant": ["whole", "whole", "skip"], "learning_rate": [0.002, 0.004, 0.002], "parameters": 1000,
             "validation_exact_nll": [130.0 + seed, 128.0, 133.0 + seed], "validation_elbo": [-134.0, -133.0, -139.0]}
        )  # fmt: skip
        made_up.to_csv(kept.run(run).folder / "ablation.csv", index=False)
    whole, faster, lesser = (row for _, row in ablations.table(kept).iterrows())
    assert (whole.trained, whole.change, whole.seeds) == ("learning rate 0.002", "–", "2")
    assert (lesser.network, lesser.change) == ("residual, 4 × 512, 4 epochs", "3.00 ± 0.00")
    assert faster.change.startswith("-2.50 ±")
    assert ablations.rates(kept, ["residual, 4 × 512", "convolutional"]) == (
        " After 4 epochs (2 seeds) *residual, 4 × 512* is better at 0.004, the largest rate tried, by 2.5 nats. Part "
        "of what separates the networks may be the rate; no other rate was tried for *convolutional*."
    )
    assert ablations.costs(kept, "residual, 4 × 512") == {
        "costs": " After 4 epochs *residual, 4 × 512* is for certain worse without skip connections (by 3.0 nats).",
        "needs": "; it is for certain worse without skip connections",
    }
    assert ablations.costs(kept, "convolutional") == {"costs": "", "needs": ""}
    assert ablations.table(summary).empty and ablations.rates(summary, ["convolutional"]) == ""


def test_networks_are_compared_at_their_best_rates_where_all_were_trained_for_as_long(tmp_path):
    nll = {"resmlp": {0.002: 130.0, 0.004: 129.8}, "mlp": {0.004: 140.0, 0.002: 141.0, 0.008: 136.0}}

    def rates(folder, **epochs):
        runs = {
            f"ablation/{name}-any": made_up_scale.record({"architecture": name, "epochs": epochs[name]}, {})
            for name in nll
        }
        kept = Summary(made_up_scale.write(folder, runs))
        for name, each in nll.items():
            frame = pd.DataFrame({"learning_rate": each.keys(), "validation_exact_nll": each.values()})
            frame.assign(title="any", variant="whole").to_csv(kept.run(f"ablation/{name}-any").folder / "ablation.csv")
        return ablations.rates(kept, ["residual, 4 × 512", "256–128 ReLU"])

    better = "*256–128 ReLU* is better at 0.008, the largest rate tried, by 4.0 nats. "
    assert rates(tmp_path / "a", resmlp=4, mlp=4) == (
        f" After 4 epochs (1 seed) {better}With the best rate tried for each, *residual, 4 × 512* leads by 6.2 nats "
        "(one seed each, so not for certain)."
    )
    assert rates(tmp_path / "b", resmlp=4, mlp=20) == (
        f" After 20 epochs (1 seed) {better}Part of what separates the networks may be the rate."
    )
    nll["mlp"][0.008] = 139.6
    assert rates(tmp_path / "c", resmlp=4, mlp=20) == (
        " No other learning rate that was tried makes its network better by 0.5 nats or more."
    )


def test_the_decoders_are_set_among_the_baselines_on_the_same_images(tmp_path, summary, vaes):
    config = {"components": [50, 4096], "points": 4096, "architecture": "mlp", "lattice_epochs": 1, "epochs": 12}
    run = made_up_scale.of_run(0, "baselines/any", config)
    kept = Summary(made_up_scale.write(tmp_path, made_up_scale.records() | {"baselines/any": run}))
    runs = baselines.finished(kept)
    table = baselines.table(runs, kept, vaes[vaes.model == "conv"])
    assert table.model.tolist() == [
        "mixture of 4,096", "256–128 ReLU, by log p(x), 12 epochs, 3-D", "256–128 ReLU, by log p(x), 12 epochs, 2-D",
        "decoder on the torus", "256–128 ReLU, by log p(x), 12 epochs, 1-D", "*conv*",
    ]  # fmt: skip
    own = table.set_index("model").loc["*conv*"]
    assert own["exact −log p(x)"] == "200.00" and own["on training images"] == "127.00"  # of the first two test images
    said = baselines.paragraph(runs).replace("\n", " ")
    assert "4,096 is 8.0 nats better than *256–128 ReLU*, trained on as many latents (64 × 64)." in said
    assert "dimension makes the same decoder 19.0 nats better. A third one makes it 5.0 nats better." in said
    assert "only 16 of them along an axis" in said and "it lies 0.00, 0.10 and 1.25 nats below the exact value." in said
    assert "theirs has grey pixels, ours binary ones, theirs has 20 epochs, ours 1. By its own lattice" in said
    assert "By its own lattice it has 139.50 nats, by the integral 139.00." in said
    assert baselines.table([], summary, vaes).empty and baselines.paragraph([]) == ""


def test_baselines_of_an_older_run_say_nothing_of_a_third_dimension(tmp_path, vaes):
    config = {"components": [50, 1600], "points": 1600, "architecture": "mlp", "lattice_epochs": 1, "epochs": 12}
    run = made_up_scale.of_run(0, "baselines/any", config)
    run["metrics"] = {name: value for name, value in run["metrics"].items() if "3d" not in name and "bias" not in name}
    folder = made_up_scale.write(tmp_path, made_up_scale.records() | {"baselines/any": run})
    csv = tmp_path / "baselines/any/baselines.csv"
    rows = pd.read_csv(csv)
    rows[rows.key != "decoder_3d"].to_csv(csv, index=False)
    kept = Summary(folder)
    runs = baselines.finished(kept)
    said = baselines.paragraph(runs).replace("\n", " ")
    assert "dimension makes the same decoder 19.0 nats better.  The decoder on" in said and "third" not in said
    assert len(baselines.table(runs, kept, vaes[vaes.model == "conv"])) == 5


def test_samples_are_compared_in_per_cent_and_training_images_have_no_likelihood(summary):
    compared = compared_samples(summary.runs("vaegan"), {})
    assert compared.model.tolist() == ["vaegan", "twin", "conv", "deep", "training images"]
    table = tables.realism(compared)
    assert table["samples of"].tolist() == ["VAE-GAN", "twin", "conv", "deep", "training images"]
    assert table.loc[2].tolist()[1:] == ["125.0", "90.0", "0.012", "130.00"]
    assert table["exact −log p(x)"].tolist() == ["–", "–", "130.00", "124.00", "–"]


# --- what charts are drawn from ----------------------------------------------------------------------------------


def test_gaps_are_means_over_seeds_beside_the_likelihood_of_the_same_images(vaes):
    gaps = frames.gaps_by_model(vaes, ["conv", "mlp"])
    assert gaps.index.tolist() == ["conv", "mlp"]
    assert gaps.exact_nll.tolist() == [129.0, 134.0]  # of the first images; 130 and 135 of all
    assert gaps.amortisation_gap.tolist() == [1.5, 1.5]


def test_bounds_are_by_model_with_the_exact_value_of_the_same_images(vaes):
    samples, bounds, exact = frames.bounds(vaes.loc[["vae/conv-seed0", "vae/mlp-seed1"]])
    assert samples == (1, 5, 50, 500)
    assert bounds == {"conv": [-131.0, -130.0, -129.0, -128.0], "mlp": [-135.0, -134.0, -133.0, -132.0]}
    assert exact == {"conv": -129.0, "mlp": -133.0}


def test_errors_by_dimension_have_a_row_a_dimension():
    errors = frames.errors_by_dimension({"grid_error_2": 0.1, "grid_error_10": 3.0, "draws_error_2": 0.2,
                                         "draws_error_10": 2.0, "other": 1.0})  # fmt: skip
    assert errors.index.tolist() == [2, 10] and errors.columns.tolist() == ["grid", "draws of the prior"]
    assert errors["draws of the prior"].tolist() == [0.2, 2.0]


def test_the_worst_images_come_first():
    images = np.arange(4)[:, None]
    worst = frames.extreme_images(images, made_up_scale.arrays(), count=2)
    assert worst["lowest exact likelihood"].ravel().tolist() == [1, 2]
    assert worst["largest gap"].ravel().tolist() == [0, 1]  # of the three whose gap was split


def test_every_run_is_listed_with_its_main_numbers_as_its_record_calls_them(summary):
    table = tables.runs(summary)
    assert len(table) == len(summary.records) and table.experiment.is_monotonic_increasing
    vae = table[(table.experiment == "vae") & (table.run == "conv-seed0")].iloc[0]
    assert vae["main numbers"].startswith("exact_nll 130, elbo −132, approximation_gap 0.5") and vae.minutes == "30.0"
