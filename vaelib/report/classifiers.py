"""The classifiers that a scale's runs trained, by what they were trained on; every difference of two goes through here.

`notebooks/augmentation.ipynb` trains them with and without added images, at several fractions of the real ones, and
`notebooks/synthesis.ipynb` one for each generator, at the fraction that generators are chosen by.
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import pandas as pd

from vaelib.measure.intervals import mean_interval
from vaelib.report import names
from vaelib.report.summary import FinishedRun, Summary, model_name
from vaelib.synthetic import answers, worth
from vaelib.synthetic.answers import Trained
from vaelib.synthetic.arms import ARMS, CHOICE_FRACTION

UNLABELLED = ("classified", "regions")  # generators that are a VAE of images alone, labelled afterwards
Runs = list[tuple[FinishedRun, pd.DataFrame]]  # each with its table of classifiers


class Of(NamedTuple):
    """What classifiers were trained on and for how long, and on which images they are measured."""

    arm: str
    fraction: float = CHOICE_FRACTION  # of the second half: the real images
    generator: str = ""  # the model whose synthetic images an arm has; "" is the one that all arms are measured with
    budget: str = "updates"
    updates: int = 0  # of the real images alone; 0 is as many as in all comparisons
    measured: str = "test"


class Classifiers:
    """All classifiers of the runs of `augmentation` and `synthesis` in a scale's results.

    `studied` is the generator whose images are added wherever the real images alone were trained on, too, at
    `fractions`: all arms are measured with it. `measured` are the two-dimensional generators that were measured at all
    of these, best first by their gain where generators are chosen. The main table has `tabled`: the first of them,
    `generator`, and before it the first whose VAE knows no labels, `unlabelled`, where there is one. All comparisons
    are made after `updates`, as many as where generators are chosen. `configs` are the parameters of all generators by
    their models, and `described` what a reader knows them as.
    """

    def __init__(self, summary: Summary):
        self.runs: Runs = [(run, run.csv("accuracies")) for run in summary.runs("augmentation")]
        self.generators: Runs = [(run, run.csv("accuracies")) for run in summary.runs("synthesis")]
        main = [run for run, _ in self.runs if {"real", "synthetic"} <= set(run.config["arms"])]
        self.studied = model_name(main[0].config["generator_run"])
        self.fractions = sorted({run.config["fraction"] for run in main})
        self.updates = int(self.generators[0][0].config["updates"])
        self.measured = self._measured_at_all_fractions()
        self.generator = self.measured[0]
        self.configs = {model_name(run.name): run.config for run, _ in self.generators}
        self.described = {model: names.generator(config) for model, config in self.configs.items()}
        self.unlabelled = [
            model
            for model in self.measured
            if self.configs[model]["generator"] in UNLABELLED and not self.configs[model]["task_weight"]
        ][:1]
        self.tabled = list(dict.fromkeys([*self.unlabelled, self.generator]))

    def _measured_at_all_fractions(self) -> list[str]:
        in_plane = {model_name(run.name) for run, _ in self.generators if run.config["latent_dim"] == 2}
        everywhere = [
            model
            for model in (self.studied, *self.others())
            if model in in_plane and all(self.trained(Of("synthetic", at, model)) for at in self.fractions)
        ]
        gains = {model: gain.mean for model in everywhere if (gain := self.gain(model))}
        return sorted(gains, key=gains.__getitem__, reverse=True)

    def lengths(self) -> list[int]:
        """The numbers of updates that the real images alone were trained with where generators are chosen."""
        tables = [table for run, table in self.runs if np.isclose(run.config["fraction"], CHOICE_FRACTION)]
        return sorted({int(updates) for table in tables for updates in table.baseline_updates[table.arm == "real"]})

    def real_images(self, fraction: float) -> int:
        """How many real images a fraction is."""
        at = (run for run, _ in self.runs if np.isclose(run.config["fraction"], fraction))
        return int(next(at).record["metrics"]["real_images"])

    def others(self) -> list[str]:
        """The further generators whose images were added, in the order of the scale."""
        models = dict.fromkeys(model_name(run.config["generator_run"]) for run, _ in self.runs)
        return [model for model in models if model != self.studied]

    def trained(self, of: Of) -> list[Trained]:
        """One classifier of each seed; none where no run trained such."""
        generator, found = of.generator or self.studied, {}
        for run, table in self.runs:
            same = not ARMS[of.arm].synthetic or model_name(run.config["generator_run"]) == generator
            if same and np.isclose(run.config["fraction"], of.fraction):
                own = answers.read(table, run.arrays, of.arm, of.measured, of.budget, of.updates or self.updates)
                found |= {trained.seed: trained for trained in own}
        return list(found.values())

    def accuracy(self, of: Of) -> tuple[float, float]:
        """Mean accuracy over seeds, and the half-width of its 95 % interval over them."""
        return mean_interval(trained.correct.mean() for trained in self.trained(of))

    def change(self, of: Of, against: str = "real") -> worth.Difference | None:
        """What an arm changes against another one, by the seeds that both have; None where they have none in common.

        Under equal epochs the two differ in their updates.
        """
        differing = ("updates",) if of.budget == "epochs" else ()
        return _difference(self.trained(of), self.trained(of._replace(arm=against)), differing)

    def longer(self) -> worth.Difference | None:
        """What twice as many updates alone change for the real images, where all comparisons are made."""
        twice = self.trained(Of("real", updates=2 * self.updates))
        return _difference(twice, self.trained(Of("real")), {"updates"})

    def with_images_of(self, model: str) -> list[Trained]:
        """The classifiers by which a generator is chosen: with its images beside real ones, on validation images."""
        runs = [(run, table) for run, table in self.generators if model_name(run.name) == model]
        return [own for run, table in runs for own in answers.read(table, run.arrays, "synthetic", "validation")]

    def gain(self, model: str, against: str = "", seeds: Iterable[int] | None = None) -> worth.Difference | None:
        """What a generator's images change there against the real images alone, or against another generator's.

        With `seeds`, only runs with one of them count.
        """
        without = self.with_images_of(against) if against else self.trained(Of("real", measured="validation"))
        added = self.with_images_of(model)
        chosen = {own.seed for own in added} if seeds is None else set(seeds)
        return _difference([own for own in added if own.seed in chosen], without)


def _difference(first: list[Trained], second: list[Trained], differing: Iterable[str] = ()) -> worth.Difference | None:
    common = {own.seed for own in first} & {own.seed for own in second}
    if not common:
        return None
    return worth.difference(*([own for own in each if own.seed in common] for each in (first, second)), set(differing))
