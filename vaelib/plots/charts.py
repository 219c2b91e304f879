"""The project's charts of numbers: functions from arrays and tables to a Matplotlib `Figure` with alternative text."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from vaelib.plots import colours
from vaelib.plots.figures import LETTERS, SMALL, WIDTH, describe, in_house_style, new_figure


@in_house_style
def learning_curves(histories: Mapping[str, pd.DataFrame], protocol: str, quantity: str = "ELBO") -> Figure:
    """ELBO, or what else was maximised, by epoch: training (dashed) and validation (solid), one colour a run."""
    figure, axes = new_figure(WIDTH, 2.6)
    for name, style in colours.of_models(histories).items():
        history, line = histories[name], style.as_line() | {"linestyle": "-"}
        axes.plot(history.epoch, history.validation_elbo, **line, label=name)
        axes.plot(history.epoch, history.train_elbo, color=style.colour, linestyle="--", alpha=0.7)
    best = max(history.validation_elbo.max() for history in histories.values())
    # All but the mean over the first epoch of a training, which begins at chance.
    worst = min(
        [*(h.validation_elbo.min() for h in histories.values()), *(h.train_elbo[1:].min() for h in histories.values())]
    )
    axes.set_ylim(worst - 2, best + 2)
    axes.set(xlabel="epoch", ylabel=f"{quantity}, protocol {protocol} (nats)")
    axes.legend(title="solid: validation\ndashed: training", loc="center left", bbox_to_anchor=(1.0, 0.5))
    last = ", ".join(f"{name} {history.validation_elbo.max():.1f}" for name, history in histories.items())
    return describe(figure, f"Curves of the {quantity} against the epoch. Best validation: {last} nats.")


@in_house_style
def gap_histogram(approximation: np.ndarray, amortisation: np.ndarray) -> Figure:
    """How both gaps are spread over images, on a logarithmic axis."""
    figure, axes = new_figure(WIDTH, 2.2)
    bins = np.geomspace(1e-3, max(approximation.max(), amortisation.max(), 1e-2) * 1.1, 60)
    for values, name in ((approximation, "approximation"), (amortisation, "amortisation")):
        label = f"{name} gap: mean {values.mean():.2f}"
        axes.hist(values.clip(bins[0]), bins, color=colours.GAPS[name], alpha=0.75, label=label)
    axes.set(xscale="log", xlabel="nats", ylabel="images")
    axes.legend()
    return describe(
        figure,
        f"Histograms of the approximation gap (mean {approximation.mean():.2f} nats) and of the amortisation gap "
        f"(mean {amortisation.mean():.2f} nats) over images, on a logarithmic axis.",
    )


@in_house_style
def gap_bars(frame: pd.DataFrame) -> Figure:
    """Exact NLL, approximation and amortisation gap stacked to -ELBO, one bar a model (columns by these names)."""
    figure, axes = new_figure(WIDTH, 0.8 + 0.2 * len(frame))
    left = frame.exact_nll.to_numpy()
    start = left.min() - 1.5
    axes.barh(frame.index, left - start, left=start, color=colours.EXACT, label="exact $-\\log p(x)$")
    for name, colour in colours.GAPS.items():
        gap = frame[f"{name}_gap"].to_numpy()
        axes.barh(frame.index, gap, left=left, color=colour, label=f"{name} gap")
        left = left + gap
    axes.set(xlabel="nats per image", xlim=(start, left.max() + 0.5))
    axes.invert_yaxis()
    figure.legend(loc="outside upper center", ncols=3)
    parts = "; ".join(
        f"{name}: {row.exact_nll:.1f} + {row.approximation_gap:.2f} + {row.amortisation_gap:.2f}"
        for name, row in frame.iterrows()
    )
    return describe(
        figure, f"Stacked bars of exact negative log-likelihood, approximation and amortisation gap. {parts}."
    )


@in_house_style
def ablation(frame: pd.DataFrame, split: str = "validation") -> Figure:
    """What a network loses with each of its parts: a dot a training, a line through the mean of those of one title.

    `frame` has a row a training, by its title, the whole network's first; `validation_exact_nll`, or with another
    `split` of the images that one's, is in nats.
    """
    nll = frame[f"{split}_exact_nll"]
    means = nll.groupby(level=0, sort=False).mean()
    figure, axes = new_figure(WIDTH, 0.5 + 0.24 * len(means))
    places = {title: place for place, title in enumerate(means.index)}
    axes.plot(nll, [places[title] for title in frame.index], ".", color="0.45")
    axes.plot(means, range(len(means)), "|", color="0.2", markersize=12)
    axes.axvline(means.iloc[0], color="0.5", linewidth=0.8, linestyle=":")
    axes.set_yticks(range(len(means)), means.index)
    axes.set(xlabel=f"exact $-\\log p(x)$ of {split} images (nats)")
    axes.invert_yaxis()
    told = "; ".join(f"{title}: {mean:.1f}" for title, mean in means.items())
    return describe(figure, f"Dots for the exact negative log-likelihood, a row a model. {told} nats.")


@in_house_style
def confusions(shares: np.ndarray, predicted: bool = False) -> Figure:
    """[10, 10] row-normalised confusion matrix in per cent, the diagonal left grey.

    The columns are digits of the neighbours in the latent plane or, with `predicted`, of a classifier.
    """
    import seaborn as sns  # here: of all charts one needs it, and it takes a second

    figure, axes = new_figure(4.0, 3.4)
    percent = 100 * shares
    style = {"annot": True, "fmt": ".1f" if predicted else ".0f", "annot_kws": {"size": SMALL}, "cmap": "Reds"}
    unseen = np.eye(10, dtype=bool) | (percent == 0)
    sns.heatmap(percent, mask=unseen, square=True, cbar=False, ax=axes, **style)
    axes.set(xlabel="predicted digit" if predicted else "digit of the neighbours", ylabel="true digit")
    off = percent - np.diag(np.diag(percent))
    true, taken = np.unravel_index(off.argmax(), off.shape)
    return describe(
        figure, f"Confusion matrix of the ten digits. The largest entry off the diagonal: {off.max():.1f} % of the "
        f"images of a {true} {'are taken for' if predicted else 'lie among images of'} a {taken}."
    )  # fmt: skip


@in_house_style
def class_shares(shares: Mapping[str, np.ndarray]) -> Figure:
    """Share of each digit among generated images, a group of bars a model, against an even tenth."""
    figure, axes = new_figure(WIDTH, 2.2)
    width = 0.8 / len(shares)
    for i, (name, style) in enumerate(colours.of_models(shares).items()):
        places = np.arange(10) + (i - (len(shares) - 1) / 2) * width
        axes.bar(places, 100 * shares[name], width, **style.as_bars(), label=name)
    axes.axhline(10, color="0.5", linewidth=0.8, linestyle=":")
    axes.set(xlabel="digit", ylabel="share of samples (%)", xticks=range(10))
    fitting = int(72 * WIDTH / (0.5 * LETTERS * (max(map(len, shares)) + 6)))  # with a key of six letters' width
    figure.legend(loc="outside upper center", ncols=max(1, min(len(shares), fitting)))
    most = {name: f"most {values.argmax()}, fewest {values.argmin()}" for name, values in shares.items()}
    return describe(
        figure, "Bars of the share of each digit among prior samples; a dotted line at ten per cent. "
        + "; ".join(f"{name}: {text}" for name, text in most.items()) + "."
    )  # fmt: skip


@in_house_style
def bound_curve(samples: Sequence[int], bounds: Mapping[str, Sequence[float]], exact: Mapping[str, float]) -> Figure:
    """The importance-weighted bound against K, with the exact log p(x) it rises to as a dotted line."""
    figure, axes = new_figure(WIDTH, 2.4)
    for name, style in colours.of_models(bounds).items():
        axes.plot(samples, bounds[name], **style.as_line(), label=name)
        axes.axhline(exact[name], color=style.colour, linestyle=":")
    axes.set(xscale="log", xlabel="importance samples K", ylabel="bound (nats)")
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    last = "; ".join(f"{n} from {v[0]:.1f} to {v[-1]:.2f}, exact {exact[n]:.2f}" for n, v in bounds.items())
    return describe(figure, f"Curves of the bound against the number of importance samples: {last}.")


@in_house_style
def accuracy_lines(points: pd.DataFrame, names: Mapping[str, str], along: str, measured: str) -> Figure:
    """Accuracy against a number of images or updates: a dot for each seed, a line through the means of each arm.

    `points` has columns `arm`, `accuracy` in per cent and `along`, the number on the horizontal axis; `names` maps the
    arms to what the legend calls them; `measured` says on which images.
    """
    figure, axes = new_figure(WIDTH, 2.0)
    ticks, number = sorted(points[along].unique()), along.replace("_", " ")
    told = []
    for arm, style in colours.of_arms(names).items():
        name = names[arm]
        mine = points[points.arm == arm]
        means = mine.groupby(along).accuracy.mean()
        axes.plot(means.index, means, **style.as_line(), label=name)
        axes.plot(mine[along], mine.accuracy, ".", color=style.colour, markersize=3, alpha=0.6)
        told.append(f"{name}: {', '.join(f'{mean:.2f} % at {count:,.0f}' for count, mean in means.items())}")
    axes.set(xscale="log", xlabel=number, ylabel=f"{measured} accuracy (%)")
    axes.set_xticks(ticks, [f"{tick:,.0f}" for tick in ticks])
    axes.minorticks_off()
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return describe(figure, f"Lines of mean {measured} accuracy against the number of {number}. {'; '.join(told)}.")


@in_house_style
def arm_changes(accuracies: pd.DataFrame, names: Mapping[str, str]) -> Figure:
    """Accuracy of every arm less that of the real images alone, in points, a bar for each budget.

    `accuracies` has a row an arm and a column a budget, as shares; `names` maps the arms to what the axis calls them.
    """
    changes = 100 * (accuracies - accuracies.loc["real"]).drop(index="real")
    figure, axes = new_figure(WIDTH, 0.5 + 0.4 * len(changes))
    height = 0.8 / len(changes.columns)
    for i, (budget, style) in enumerate(zip(changes, colours.NEUTRAL, strict=False)):
        places = np.arange(len(changes)) + i * height
        axes.barh(places, changes[budget], height, **style.as_bars(), label=f"equal {budget}")
    axes.set_yticks(np.arange(len(changes)) + 0.4 - height / 2, [names[arm] for arm in changes.index])
    axes.axvline(0, color="0.3", linewidth=0.8)
    axes.set(xlabel="change of the test accuracy (points)")
    axes.invert_yaxis()
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    told = "; ".join(
        f"{names[arm]}: " + ", ".join(f"{change:+.2f} at equal {budget}" for budget, change in row.items())
        for arm, row in changes.iterrows()
    )
    return describe(figure, f"Bars of the change of accuracy against the real images alone, in points. {told}.")


@in_house_style
def error_by_dimension(errors: pd.DataFrame, points: int) -> Figure:
    """Mean absolute error of estimates of log p(x): rows latent dimensions, columns the methods."""
    figure, axes = new_figure(WIDTH, 2.4)
    for name, style in zip(errors, colours.NEUTRAL, strict=False):
        axes.plot(range(len(errors)), errors[name], **style.as_line(), label=name)
    axes.set_xticks(range(len(errors)), errors.index)
    axes.set(yscale="log", xlabel="latent dimensions", ylabel="error of log p(x) (nats)")
    axes.legend(title=f"at most {points:,} decoder evaluations")
    told = [f"{name}: " + ", ".join(f"{d} dimensions {v:.2g}" for d, v in errors[name].items()) for name in errors]
    return describe(figure, f"Lines of the error against the number of latent dimensions. {'; '.join(told)}.")


@in_house_style
def loss_curves(history: pd.DataFrame, terms: Sequence[str]) -> Figure:
    """Every term of a loss in training by epoch, each on its own axis: their scales differ."""
    figure, axes = new_figure(WIDTH, 1.7, ncols=len(terms), squeeze=False)
    for ax, name in zip(axes[0], terms, strict=True):
        ax.plot(history.epoch, history[f"train_{name}"], marker=".", clip_on=False)
        ax.set(title=name.replace("_", " "), xlabel="epoch")
        ax.set_ylim(bottom=0)
        ax.locator_params(axis="x", integer=True, nbins=5)
    ends = ", ".join(f"{name.replace('_', ' ')} {history[f'train_{name}'].iloc[-1]:.2f}" for name in terms)
    return describe(figure, f"Curves of the parts of the loss by epoch. In the last one: {ends}.")


@in_house_style
def trade_off(sweep: pd.DataFrame) -> Figure:
    """What a classifier in the loss gains and costs against its weight: rows of `sweep` are weights, from 0 up.

    Columns: `judge_error`, `critic_error`, `cas`, `precision` (shares), `frechet_distance` and `exact_nll` (nats).
    """
    figure, axes = new_figure(WIDTH, 1.7, ncols=5)
    places = range(len(sweep))
    panels = {
        "label error (%)": {"judge": sweep.judge_error, "critic": sweep.critic_error},
        "cost (nats)": {"": (sweep.exact_nll - sweep.exact_nll.iloc[0]) / 100},
        "CAS (%)": {"": sweep.cas},
        "Fréchet distance": {"": sweep.frechet_distance / 100},
        "precision (%)": {"": sweep.precision},
    }
    for ax, (title, lines) in zip(axes, panels.items(), strict=True):
        for style, (name, values) in zip(colours.NEUTRAL, lines.items(), strict=False):
            ax.plot(places, 100 * values, **style.as_line(), label=name)
        ax.set(title=title, xlabel="weight")
        ax.set_xticks(places, [f"{weight:g}" for weight in sweep.index], fontsize=SMALL)
        if len(lines) > 1:  # the key above the lines, not upon them
            low, high = ax.get_ylim()
            ax.set_ylim(low, high + 0.7 * (high - low))
            ax.legend(loc="upper right", handlelength=1.2, borderaxespad=0)
    told = "; ".join(
        f"weight {weight:g}: label error {100 * row.judge_error:.1f} % (critic {100 * row.critic_error:.1f} %), "
        f"CAS {100 * row.cas:.1f} %, Fréchet distance {row.frechet_distance:.0f}, "
        f"precision {100 * row.precision:.0f} %, {row.exact_nll:.1f} nats"
        for weight, row in sweep.iterrows()
    )
    return describe(figure, f"Five panels against the weight of the classifier in the loss. {told}.")
