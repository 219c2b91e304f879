"""The decoders in proportion: beside them other models that have an exact log p(x), of `notebooks/baselines.ipynb`."""

from collections.abc import Iterable, Mapping

import pandas as pd

from vaelib.models.networks import ARCHITECTURES
from vaelib.models.vae import count_parameters
from vaelib.report import names
from vaelib.report.summary import FinishedRun, Summary
from vaelib.report.words import counted, listed, with_interval

PAPER_EPOCHS = 20  # of Martinez & Williams 2026


def finished(summary: Summary) -> list[FinishedRun]:
    """The runs of the notebook, several seeds of one; a scale may have none."""
    return [summary.run(name) for name in summary.records if name.startswith("baselines/")]


def table(runs: Iterable[FinishedRun], summary: Summary, decoders: pd.DataFrame) -> pd.DataFrame:
    """Nats of the baselines, and of the models of `decoders` (rows of runs of VAEs) on the same images; best first.

    Empty without runs of baselines.
    """
    runs = list(runs)
    if not runs:
        return pd.DataFrame()
    own = pd.concat([run.csv("baselines") for run in runs])
    network = names.network(runs[0].config["architecture"])
    trained = f"{network}, by log p(x), {counted(runs[0].config['epochs'], 'epoch')}"
    images = runs[0].record["metrics"]["measured_images"]
    rows = [
        (title.replace("decoder, ", f"{trained}, "), group.weights.iloc[0], group.test_exact_nll,
         group.train_exact_nll)
        for title, group in own.groupby("title", sort=False)
    ]  # fmt: skip
    for model, group in decoders.groupby("model", sort=False):
        weights = count_parameters(ARCHITECTURES[group.architecture.iloc[0]].decoder(2, 1))
        nll = pd.Series([-summary.run(run).arrays["log_px"][:images].mean() for run in group.index])
        rows.append((f"*{model}*", weights, nll, group.exact_nll_train))
    return pd.DataFrame(
        {
            "model": title,
            "weights": f"{weights:,}",
            "exact −log p(x)": with_interval(test),
            "on training images": with_interval(train),
            "seeds": f"{len(test)}",
        }
        for title, weights, test, train in sorted(rows, key=lambda row: row[2].mean())
    )


def paragraph(runs: Iterable[FinishedRun]) -> str:
    """The appendix above the table, heading and all; empty without runs of baselines."""
    runs = list(runs)
    if not runs:
        return ""
    config, metrics = runs[0].config, runs[0].record["metrics"]
    size, side = max(config["components"]), round(config["points"] ** 0.5)
    tied, loose = metrics["decoder_2d_nll"], metrics[f"mixture_{size}_nll"]
    lead = f"{abs(tied - loose):.1f} nats {'better' if loose < tied else 'worse'} than"
    return f"""## Appendix: in proportion {{#sec:app-proportion .appendix}}

A decoder at {side} × {side} latents is a mixture of {side**2:,} images that one network ties.
@tbl:proportion has mixtures of Bernoulli distributions whose images nothing ties, fitted by EM [@dempster1977] with the
pixels drawn afresh in each pass; validation images chose the prior's weight and the pass. The one of {size:,} is {lead}
*{names.network(config["architecture"])}*, trained on as many latents ({side} × {side}).

{_dimensions(config["points"], metrics)}

The decoder on the torus follows the recipe of @martinez2026: no encoder, two angles, a lattice of 610 points that is
shifted at random; theirs has grey pixels, ours binary ones{_lengths(config["lattice_epochs"])}.
By its own lattice it has {metrics["qlvm_estimate_nll"]:.2f} nats, by the integral {metrics["qlvm_nll"]:.2f}."""


def _dimensions(points: int, metrics: Mapping[str, float]) -> str:
    """What each latent dimension brings this decoder; records of older runs end with the second, and no bias."""
    line, plane, space = (metrics.get(f"decoder_{d}d_nll") for d in (1, 2, 3))
    said = f"A second latent dimension makes the same decoder {_by(line - plane)}."
    if space is None:
        return said
    cube = round(points ** (1 / 3))
    biases = [f"{metrics[f'decoder_{d}d_estimate_bias']:z.2f}" for d in (1, 2, 3)]
    return (
        f"{said} A third one makes it {_by(plane - space)}. Each of these decoders was trained on {points:,} latents. "
        f"In the cube there are only {cube} of them along an axis, and they lie far apart. So the estimate that trains "
        f"the decoder is blunter there: with one, two and three latents it lies {listed(biases)} nats below the exact "
        "value."
    )


def _lengths(epochs: int) -> str:
    """How long theirs and ours were trained, at the end of a sentence on what else differs."""
    if epochs == PAPER_EPOCHS:
        return f" (both {counted(epochs, 'epoch')})"
    return f", theirs has {counted(PAPER_EPOCHS, 'epoch')}, ours {epochs}"


def _by(nats: float) -> str:
    """How a decoder has changed that has lost so many nats."""
    return f"{abs(nats):.1f} nats {'better' if nats >= 0 else 'worse'}"
