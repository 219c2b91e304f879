"""Charts and figures show the numbers they are given, and say them in their alternative texts too."""

import inspect

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from vaelib.models.networks import ARCHITECTURES
from vaelib.plots import charts, colours, diagram, figures, of_runs
from vaelib.report import exhibits
from vaelib.synthetic.arms import ARMS

DIGITS = np.arange(10)


def alt(figure: Figure) -> str:
    return figures.alt_text(figure)


def legible(figure: Figure, width: str | None = None) -> bool:
    """Whether no letter is smaller than 7 points in print."""
    _, size = exhibits._drawn(figure, "fig:x", width)
    return size["points"] >= 7 or size["points"] == 0


def heights(axes) -> list[float]:
    return [float(bar.get_height()) for bar in axes.patches]


def test_learning_curves_have_a_validation_and_a_training_line_a_run():
    history = pd.DataFrame({"epoch": [1, 2], "validation_elbo": [-150.0, -140.0], "train_elbo": [-160.0, -145.0]})
    (axes,) = (figure := charts.learning_curves({"mlp": history}, "A")).axes
    assert [line.get_ydata().tolist() for line in axes.lines] == [[-150.0, -140.0], [-160.0, -145.0]]
    assert axes.get_ylabel() == "ELBO, protocol A (nats)" and "mlp -140.0 nats" in alt(figure)


def test_gap_bars_lead_from_the_exact_likelihood_to_the_negative_elbo():
    frame = pd.DataFrame(
        {"exact_nll": [130.0, 135.0], "approximation_gap": [0.5, 0.25], "amortisation_gap": [4.0, 2.0]},
        index=["conv", "mlp"],
    )
    (axes,) = (figure := charts.gap_bars(frame)).axes
    ends = [bar.get_x() + bar.get_width() for bar in axes.patches]
    assert ends == pytest.approx([130.0, 135.0, 130.5, 135.25, 134.5, 137.25])
    assert "conv: 130.0 + 0.50 + 4.00; mlp: 135.0 + 0.25 + 2.00" in alt(figure)


def test_objectives_are_drawn_by_architecture_and_likelihood_of_the_images_whose_gap_was_split():
    frame = pd.DataFrame(
        {
            "architecture": ["mlp", "conv", "mlp"],
            "exact_nll": [135.0, 130.0, 125.0],
            "gap_exact_nll": [134.0, 129.0, 124.0],
            "approximation_gap": 0.5,
            "amortisation_gap": 1.0,
        },
        index=["vae/mlp-seed0", "vae/conv-seed0", "vae/mlp-exact-seed0"],
    )
    text = alt(of_runs.objective_gaps(frame))
    assert "conv-seed0: 129.0 + 0.50 + 1.00; mlp-exact-seed0: 124.0 + 0.50 + 1.00; mlp-seed0: 134.0" in text


def test_a_histogram_has_every_image_and_the_means():
    approximation, amortisation = np.array([0.0, 0.1, 0.5]), np.array([1.0, 2.0, 6.0])
    (axes,) = (figure := charts.gap_histogram(approximation, amortisation)).axes
    assert sum(heights(axes)) == 6
    assert "(mean 0.20 nats)" in alt(figure) and "(mean 3.00 nats)" in alt(figure)


@pytest.mark.parametrize(("predicted", "words"), [(False, "lie among images of a 9"), (True, "are taken for a 9")])
def test_confusions_are_in_per_cent_and_the_largest_is_told(predicted, words):
    shares = 0.7 * np.eye(10)
    shares[4, 9], shares[3, 5] = 0.3, 0.123
    (axes,) = (figure := charts.confusions(shares, predicted)).axes
    texts = {text.get_text() for text in axes.texts}
    assert texts == ({"30.0", "12.3"} if predicted else {"30", "12"})  # the diagonal and zeros are left out
    assert f"30.0 % of the images of a 4 {words}" in alt(figure)


def test_shares_of_digits_are_bars_in_per_cent():
    shares = np.full(10, 0.1)
    shares[1], shares[8] = 0.15, 0.05
    (axes,) = (figure := charts.class_shares({"mlp": shares})).axes
    assert heights(axes) == pytest.approx((100 * shares).tolist())
    assert "mlp: most 1, fewest 8" in alt(figure)


def test_the_bound_rises_to_a_dotted_line():
    (axes,) = (figure := charts.bound_curve((1, 50), {"mlp": [-140.0, -136.0]}, {"mlp": -135.5})).axes
    curve, exact = axes.lines
    assert curve.get_ydata().tolist() == [-140.0, -136.0] and set(exact.get_ydata()) == {-135.5}
    assert "mlp from -140.0 to -136.00, exact -135.50" in alt(figure)


def test_accuracies_have_a_mean_a_number_of_images_and_a_dot_a_seed():
    points = pd.DataFrame(
        {"arm": ["real"] * 3, "real_images": [6000, 6000, 30_000], "accuracy": [96.0, 97.0, 99.0]}
    )  # fmt: skip
    (axes,) = (figure := charts.accuracy_lines(points, {"real": "real images"}, "real_images", "test")).axes
    means, dots = axes.lines
    assert means.get_ydata().tolist() == [96.5, 99.0] and len(dots.get_ydata()) == 3
    assert axes.get_xlabel() == "real images" and axes.get_ylabel() == "test accuracy (%)"
    assert "real images: 96.50 % at 6,000, 99.00 % at 30,000" in alt(figure)


def test_errors_by_dimension_have_a_line_a_way():
    errors = pd.DataFrame({"grid": [0.2, 10.0], "draws of the prior": [0.1, 6.0]}, index=[2, 5])
    (axes,) = (figure := charts.error_by_dimension(errors, 4096)).axes
    assert [line.get_ydata().tolist() for line in axes.lines] == [[0.2, 10.0], [0.1, 6.0]]
    assert axes.get_legend().get_title().get_text() == "at most 4,096 decoder evaluations"
    assert "grid: 2 dimensions 0.2, 5 dimensions 10" in alt(figure)


def test_every_part_of_a_loss_has_an_axis_of_its_own():
    history = pd.DataFrame({"epoch": [1, 2], "train_kl": [3.0, 4.0], "train_tell_apart": [2.0, 1.5]})
    figure = charts.loss_curves(history, ["kl", "tell_apart"])
    assert [axes.get_title() for axes in figure.axes] == ["kl", "tell apart"]
    assert [axes.lines[0].get_ydata().tolist() for axes in figure.axes] == [[3.0, 4.0], [2.0, 1.5]]
    assert "kl 4.00, tell apart 1.50" in alt(figure)


def test_a_trade_off_is_in_per_cent_and_its_cost_in_nats_above_no_weight():
    sweep = pd.DataFrame(
        {
            "judge_error": [0.02, 0.004],
            "critic_error": [0.03, 0.001],
            "exact_nll": [120.0, 121.5],
            "cas": [0.9, 0.93],
            "precision": [0.9, 0.8],
            "frechet_distance": [300.0, 200.0],
        },
        index=[0.0, 10.0],
    )
    figure = charts.trade_off(sweep)
    drawn = {axes.get_title(): [line.get_ydata().tolist() for line in axes.lines] for axes in figure.axes}
    assert drawn["label error (%)"] == [pytest.approx([2.0, 0.4]), pytest.approx([3.0, 0.1])]
    assert drawn["cost (nats)"] == [pytest.approx([0.0, 1.5])]
    assert drawn["Fréchet distance"] == [pytest.approx([300.0, 200.0])]
    figure.draw_without_rendering()
    errors = figure.axes[0]
    key = errors.get_legend().get_window_extent().y0
    assert all(errors.transData.transform(line.get_xydata())[:, 1].max() < key for line in errors.lines)
    assert "weight 10: label error 0.4 % (critic 0.1 %), CAS 93.0 %, Fréchet distance 200" in alt(figure)


def test_the_diagram_names_both_networks_and_both_costs():
    (axes,) = (figure := diagram.model_diagram()).axes
    texts = " ".join(text.get_text() for text in axes.texts)
    assert all(word in texts for word in ("encoder", "decoder", "KL", r"\log p_\theta(x|z)"))
    assert "Flow diagram" in alt(figure)


# --- figures of runs ---------------------------------------------------------------------------------------------


def panels(count: int) -> dict[str, np.ndarray]:
    """What a run keeps of the exact posteriors of some images."""
    return {
        "image": np.zeros((count, 784), np.uint8),
        "log_density": np.zeros((count, 4, 4)),
        "extent": np.tile([-1.0, 1.0, -2.0, 2.0], (count, 1)),
        **{f"{g}_{part}": np.ones((count, 2)) for g in ("q", "best") for part in ("mean", "deviation")},
    }


@pytest.fixture(scope="module")
def arrays() -> dict[str, np.ndarray]:
    """Everything that a run of any notebook keeps for its figures."""
    images = np.zeros((60, 784), np.uint8)
    names = (
        "misread_images",
        "misread_reconstructions",
        "reconstructions",
        "samples",
        "hole_samples",
        "prior_samples",
        "shown",
        "wrong",
        "mislabelled",
        "pleasing",
    )
    labels = ("misread_label", "misread_digit", "wrong_label", "wrong_predicted", "mislabelled_label",
              "mislabelled_judged", "pleasing_label", "pleasing_judged", "labels")  # fmt: skip
    return {
        **dict.fromkeys(names, images),
        **dict.fromkeys(labels, np.arange(60) % 10),
        **{f"posteriors.{name}": values for name, values in panels(4).items()},
        **{f"bent.{name}": values for name, values in panels(5).items()},
        **{f"samples.{name}": images for name in ("0", "10")},
        **{f"shares.{name}": np.full(10, 0.1) for name in ("conv-seed0", "vaegan")},
        "manifold": np.zeros((400, 784), np.uint8),
        "paths": np.zeros((70, 784), np.uint8),
        "mean": np.random.default_rng(0).normal(size=(60, 2)),
        "confusions": np.full((10, 10), 0.1),
        "approximation_gap": np.linspace(0.1, 1, 20),
        "amortisation_gap": np.linspace(1, 5, 20),
        "telling_gaps": np.array([1.0, 2.0, 3.0, 4.5]),
        "bent_gaps": np.array([0.5, 0.4, 0.3, 0.2, 0.1]),
        "density": np.zeros((100, 100)),
        "holes": np.zeros((3, 2)),
        "hole_share": np.array([0.125]),
    }


DRAWN = [
    function
    for _, function in inspect.getmembers(of_runs, inspect.isfunction)
    if function.__module__ == of_runs.__name__
    and not function.__name__.startswith("_")
    and next(iter(inspect.signature(function).parameters)) == "arrays"
    and function is not of_runs.part
]


@pytest.mark.parametrize("draw", DRAWN, ids=lambda function: function.__name__)
def test_a_figure_of_a_run_is_drawn_from_its_arrays_and_says_what_is_to_be_seen(draw, arrays):
    _, *others = inspect.signature(draw).parameters.values()
    figure = draw(arrays, *["mlp" for parameter in others if parameter.default is inspect.Parameter.empty])
    assert isinstance(figure, Figure) and len(alt(figure)) > 20
    assert legible(figure)


def test_the_vaegan_stands_first_whatever_order_a_file_gives_its_arrays(arrays):
    names = ["conv", "vaegan", "a"]
    shares = {f"shares.{name}": np.full(10, 0.1) for name in names}
    sheets = {f"samples.{name}": np.zeros((100, 784), dtype=np.uint8) for name in names}
    labels = [text.get_text() for text in of_runs.vaegan_shares(shares).legends[0].get_texts()]
    assert labels == ["vaegan", "a", "conv"] and "vaegan, a, conv" in alt(of_runs.vaegan_samples(sheets))


def test_figures_of_runs_tell_their_numbers(arrays):
    assert of_runs.holes(arrays).axes[0].get_title() == "12.5 % of prior samples fall in holes"
    assert "lowest log p(x) 4.5 nats" in alt(of_runs.posteriors(arrays))
    assert [axes.get_title() for axes in of_runs.bent_posteriors(arrays).axes[:5]] == [
        "0.5 nats", "0.4 nats", "0.3 nats", "0.2 nats", "0.1 nats",
    ]  # fmt: skip
    told = alt(of_runs.bent_posteriors(arrays))
    assert "the largest gap to the best Gaussian that was found" in told and "bent" not in told


def test_a_single_image_has_its_posterior_drawn_too(arrays):
    single = {name: values[:1] for name, values in arrays.items() if name.startswith("bent")}
    assert [axes.get_title() for axes in of_runs.bent_posteriors(single).axes[:1]] == ["0.5 nats"]


def test_changes_of_arms_are_points_above_the_real_images_alone():
    accuracies = pd.DataFrame({"updates": [0.97, 0.98], "epochs": [0.96, 0.985]}, index=["real", "synthetic"])
    figure = charts.arm_changes(accuracies, {"synthetic": "real + synthetic"})
    assert [bar.get_width() for bar in figure.axes[0].patches] == pytest.approx([1.0, 2.5])
    assert "real + synthetic: +1.00 at equal updates, +2.50 at equal epochs" in alt(figure)


def test_a_learning_curve_shows_its_first_validation_and_its_second_epoch():
    history = pd.DataFrame({"epoch": [1, 2], "validation_elbo": [-160.0, -150.0], "train_elbo": [-230.0, -170.0]})
    low, high = charts.learning_curves({"mlp": history}, "A").axes[0].get_ylim()
    assert low <= -170 and high >= -150 and low > -230


def test_rows_of_a_sheet_have_their_names(arrays):
    axes = of_runs.synthetic_images({"shown": np.zeros((150, 784), dtype=np.uint8)}).axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == list("0123456789")


def test_what_equals_what_stands_in_one_line_of_a_title():
    name = "draws around real images, 64-D, β = 0.01, certainty ≥ 0.9"
    for letters in range(len("certainty ≥ 0.9"), len(name)):
        lines = figures._wrapped(name, letters).split("\n")
        assert max(map(len, lines)) <= letters and " ".join(lines) == name
        assert all(sum(part in line for line in lines) == 1 for part in ("64-D", "β = 0.01", "certainty ≥ 0.9"))


def test_an_ablation_has_a_dot_for_each_training_and_tells_the_means():
    frame = pd.DataFrame({"validation_exact_nll": [130.0, 132.0, 140.0]}, index=["whole", "whole", "less"])
    (axes,) = (figure := charts.ablation(frame)).axes
    assert axes.lines[0].get_xdata().tolist() == [130, 132, 140] and axes.lines[1].get_xdata().tolist() == [131, 140]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["whole", "less"]
    assert "whole: 131.0; less: 140.0 nats" in figures.alt_text(figure)


# --- colours and letters -----------------------------------------------------------------------------------------

MODELS = ["500 tanh", "256–128 ReLU", "residual, 4 × 512", "residual, 5 × 768", "convolutional"]
ARM_NAMES = {arm: ARMS[arm].label for arm in colours.ARMS}


def test_a_network_has_the_same_colour_whatever_it_is_called_and_stands_beside():
    alone = colours.of_models(["convolutional"])["convolutional"]
    together = colours.of_models([*MODELS, "VAE-GAN", "convolutional, by log p(x)"])
    assert together["convolutional"] == alone == colours.of_models(["conv-seed1"])["conv-seed1"]
    assert together["VAE-GAN"] == colours.of_models(["vaegan"])["vaegan"]
    exact = together["convolutional, by log p(x)"]
    assert exact.colour == alone.colour and exact.line != alone.line and exact.hatch != alone.hatch
    assert len(set(together.values())) == len(together)


def test_what_has_no_known_network_and_what_comes_twice_has_a_colour_that_no_other_has():
    several = [f"{MODELS[2]}, {what}" for what in ("whole", "without skip connections", "with one block")]
    drawn = colours.of_models([*several, "my own"])
    assert drawn[several[0]] == colours.NETWORKS["resmlp"] and len({style.colour for style in drawn.values()}) == 4
    networks = {style.colour for style in colours.NETWORKS.values()}
    assert not networks & {style.colour for style in list(drawn.values())[1:]}


def test_a_legend_of_long_names_is_no_wider_than_the_page():
    figure = charts.class_shares(dict.fromkeys([*MODELS, "residual, 4 × 512, by log p(x)"], np.full(10, 0.1)))
    assert exhibits._drawn(figure, "fig:x", None)[1]["inches"] < figures.WIDTH + 0.2


@pytest.mark.parametrize("styles", [colours.NETWORKS, colours.ARMS], ids=["networks", "arms"])
def test_without_colour_a_marker_or_a_line_still_tells_apart(styles):
    first = list(styles.values())[:8]
    assert len({(style.marker, style.line) for style in first}) == len(first)


def test_every_network_and_every_arm_of_a_chart_has_a_colour():
    assert {name for name in ARCHITECTURES if "-without-" not in name} == set(colours.NETWORKS)
    assert set(colours.ARMS) <= set(ARMS)


def test_the_two_gaps_have_the_colours_of_the_gaussians_that_they_come_from(arrays):
    frame = pd.DataFrame({"exact_nll": [130.0], "approximation_gap": [0.5], "amortisation_gap": [4.0]}, index=["conv"])
    _, approximation, amortisation = (bar.get_facecolor() for bar in charts.gap_bars(frame).axes[0].patches)
    best, encoder = (ellipse.get_edgecolor() for ellipse in of_runs.posteriors(arrays).axes[4].patches[::-2])
    assert (approximation, amortisation) == (best, encoder)


def test_a_map_of_values_says_that_its_colours_do_not_end_with_the_values(arrays):
    figure = of_runs.gap_map(arrays | {"approximation_gap": np.arange(1000.0), "amortisation_gap": np.zeros(1000),
                                       "mean": np.zeros((1000, 2))})  # fmt: skip
    bar = figure.axes[0].collections[0].colorbar
    assert bar.extend == "max" and bar.vmax < 999 and "99th percentile" in alt(figure)


def test_each_class_stands_at_the_median_of_its_images():
    means = np.array([[0.0, 0.0], [2.0, 2.0], [10.0, 4.0], [-1.0, -1.0]])
    figure = figures.latent_scatter(means, np.array([3, 3, 3, 7]))
    assert [(text.get_text(), text.get_position()) for text in figure.axes[0].texts] == [
        ("3", (2.0, 2.0)), ("7", (-1.0, -1.0)),
    ]  # fmt: skip
    assert len(figure.axes) == 1


def test_no_chart_has_letters_below_seven_points_in_print():
    history = pd.DataFrame({"epoch": [1, 2], "validation_elbo": [-150.0, -140.0], "train_elbo": [-160.0, -145.0]})
    gaps = pd.DataFrame({"exact_nll": 130.0, "approximation_gap": 0.5, "amortisation_gap": 4.0}, index=MODELS)
    points = pd.DataFrame([(arm, 6000 * n, 0.9) for arm in ARM_NAMES for n in (1, 5)], columns=["arm", "n", "accuracy"])
    wide = [*MODELS, "VAE-GAN", "residual, 4 × 512, by log p(x)"]
    drawn = [
        charts.learning_curves(dict.fromkeys(wide, history), "A"),
        charts.gap_bars(gaps),
        charts.class_shares(dict.fromkeys(wide, np.full(10, 0.1))),
        charts.bound_curve((1, 50), {name: [-140.0, -136.0] for name in wide}, dict.fromkeys(wide, -135.5)),
        charts.accuracy_lines(points, ARM_NAMES, "n", "validation"),
        charts.error_by_dimension(pd.DataFrame({"grid": [0.2], "draws of the prior": [0.1]}, index=[2]), 4096),
        charts.ablation(pd.DataFrame({"validation_exact_nll": 130.0}, index=wide)),
        diagram.model_diagram(),
    ]
    assert all(map(legible, drawn))
    for predicted, width in ((False, "60%"), (True, "55%")):
        assert legible(charts.confusions(np.full((10, 10), 0.1), predicted), width)
