"""The figures of the report that several runs share; `vaelib.plots.of_runs` draws those of one run.

Each takes a `Report` and returns a Matplotlib figure that carries what is to be seen in words, as its label.
"""

from matplotlib.figure import Figure

from vaelib.plots import charts, explorer, figures, of_runs
from vaelib.plots.explorer import printed
from vaelib.report import frames, gains, names
from vaelib.report.plain import in_usual_precision
from vaelib.report.report import Report
from vaelib.report.summary import run_name
from vaelib.synthetic.arms import ARMS

FAILURES = 30  # of each kind
PAGE_BYTES = 3_500_000  # of a model in the explorer: a third more in the HTML file, which is to stay below nine million


def learning_curves(report: Report) -> Figure:
    """Training and validation ELBO of the models, by epoch."""
    return charts.learning_curves({name: run.history for name, run in report.runs.items()}, "A")


def samples(report: Report) -> Figure:
    """A sheet of decoded draws of the prior for each model."""
    sheets = {name: run.arrays["samples"][:50] for name, run in report.runs.items()}
    alt = f"Sheets of 50 generated digits, one sheet a model: {', '.join(report.ranking)}."
    return figures.galleries(sheets, 10, alt, across=3)


def densities(report: Report) -> Figure | None:
    """Sheets of samples of the models whose pixels have a density; None where a scale has none."""
    models = in_usual_precision(report.vaes)
    first = models[models.protocol == "C"].groupby("model", sort=False).head(1)
    if first.empty:
        return None
    sheets = {row.model: report.summary.run(run).arrays["samples"][:60] for run, row in first.iterrows()}
    alt = f"Sheets of 60 generated images, mean pixels, one sheet a model: {', '.join(sheets)}."
    return figures.galleries(sheets, 10, alt, across=2)


def reconstructions(report: Report) -> Figure:
    """A sheet of test images beside their reconstructions for each model."""
    sheets = {name: run.arrays["reconstructions"][:32] for name, run in report.runs.items()}
    alt = f"Test images, each beside its reconstruction, for every model: {', '.join(report.ranking)}."
    return figures.galleries(sheets, 8, alt, across=3)


def gap_bars(report: Report) -> Figure:
    """From the exact -log p(x) to the negative ELBO, for each model."""
    return charts.gap_bars(frames.gaps_by_model(report.vaes, report.ranking))


def bound(report: Report) -> Figure:
    """The importance-weighted bound against its samples, beside the exact values."""
    return charts.bound_curve(*frames.bounds(report.shown))


def objective_gaps(report: Report) -> Figure:
    """Where the nats of decoders trained by different objectives go, one seed of each."""
    ordered = report.objectives.sort_values(["architecture", "exact_nll"]).set_index("model")
    return charts.gap_bars(ordered.assign(exact_nll=ordered.gap_exact_nll))


def vaegan_samples(report: Report) -> Figure:
    """Samples of the VAE-GAN and of what it is compared with."""
    return of_runs.vaegan_samples(report.vaegan.arrays, report.names_of_compared())


def vaegan_shares(report: Report) -> Figure:
    """How often each digit comes among the samples of each of them."""
    return of_runs.vaegan_shares(report.vaegan.arrays, report.names_of_compared())


def walk(report: Report) -> tuple[str, Figure, str, str]:
    """The explorer as HTML, what stands for it in print, the model that both are of, and the line on its run.

    It is the report's own plane or, where a page cannot have its model, the first other one that it can.
    """
    looks = [report.plane, *report.summary.runs("latent_space")]
    light = [look for look in looks if 0 < len(look.arrays.get("page.body", ())) <= PAGE_BYTES]
    look = (light or looks)[0]
    model = report.vaes.model[run_name(look.config["vae_run"])]
    return explorer.page(look.arrays), printed.example(look.arrays), model, look.source


def failures(report: Report) -> Figure:
    """The best model's test images of lowest exact likelihood, and of the largest gap."""
    sheets = frames.extreme_images(report.best.test_images(), report.best.arrays, FAILURES)
    alt = "Two sheets of test images: those of lowest exact likelihood, and those of the largest gap to the ELBO."
    return figures.galleries(sheets, 10, alt, across=2)


def class_shares(report: Report) -> Figure:
    """The share of each digit among the samples of each model."""
    return charts.class_shares({name: run.arrays["class_shares"] for name, run in report.runs.items()})


def generators(report: Report) -> Figure:
    """A sheet of synthetic images for each generator."""
    first = report.generators.groupby("model", sort=False).head(1)
    sheets = {names.generator(config): report.summary.run(run).arrays["shown"] for run, config in first.iterrows()}
    alt = f"Sheets of synthetic digits, a row for each digit, one sheet a generator: {', '.join(sheets)}."
    return figures.galleries(sheets, 15, alt, across=3)


def accuracy_by_images(report: Report) -> Figure:
    """Test accuracy of each arm against the number of real images."""
    labels = _labels("further", "affine", "synthetic", "real")
    return charts.accuracy_lines(gains.by_images(report.classifiers, labels), labels, "real_images", "test")


def accuracy_by_updates(report: Report) -> Figure:
    """Validation accuracy against the number of updates, with and without synthetic images."""
    labels = _labels("afresh", "afresh_synthetic", "real", "synthetic")
    return charts.accuracy_lines(gains.by_updates(report.classifiers, labels), labels, "updates", "validation")


def _labels(*arms: str) -> dict[str, str]:
    return {arm: ARMS[arm].label for arm in arms}


def errors_by_dimension(report: Report) -> Figure:
    """The error of log p(x) by brute force against the latent dimension."""
    brute = report.exact_training
    return charts.error_by_dimension(frames.errors_by_dimension(brute.record["metrics"]), brute.config["points"])
