"""The runs of a scale by what they are to the report, and all values that its prose quotes."""

from pathlib import Path
from typing import Any

import pandas as pd

from vaelib.exact import identities
from vaelib.files import RunError
from vaelib.report.findings import architectures, failures, machine, synthetic, theory
from vaelib.report.summary import FinishedRun, Summary, compared_samples, model_name, run_name, source


class Report:
    """Everything that the report shows. Runs are found by what they are, whatever a scale calls them.

    Frames have a row a run: `vaes` is all of them, `compared` those of the architectures in `ranking`, `objectives`
    those of decoders trained by different objectives; `generators`, `augmentation` and `vaegans` are the other
    experiments'. `samples` has a row for each model whose samples the VAE-GANs were compared with, `sweep` one for each
    weight of a classifier in the loss. `runs` has, by architecture, the one run that stands for it where one is shown.
    """

    def __init__(self, results: str | Path):
        self.results = str(results)
        self.summary = Summary(results)

        self.vaes = self.summary.frame("vae")
        self.ranking = architectures.ranking(self.vaes)
        if len(self.ranking) < 2:
            raise RunError(f"{results} has fewer than two architectures under protocol A to compare.")
        self.compared = self.vaes[self.vaes.model.isin(self.ranking)]
        first_seeds = self.compared.groupby("model").seed.idxmin()
        self.runs = {model: self.summary.run(first_seeds[model]) for model in self.ranking}
        self.shown = self.vaes.loc[first_seeds[self.ranking]]
        self.best = self.runs[self.ranking[0]]
        self.plane, self.exact_plane = self._planes()
        self.plane_vae = self.summary.run(self.plane.config["vae_run"])

        self.exact_training = self.summary.runs("exact_training")[0]
        self.objectives = self._named(self.vaes, self.exact_training.config["vae_runs"])
        self.vaegans = self.summary.frame("vaegan")
        self.vaegan = self.summary.runs("vaegan")[0]
        self.samples = compared_samples(self.summary.runs("vaegan"))
        self.task = self.summary.runs("task")[0]
        self.sweep = self.task.csv("sweep").set_index("task_weight")

        self.classifiers = self.summary.frame("classifier").query("split == 'train'")
        self.classifier = self.summary.run(self.classifiers.index[0])
        self.generators = self.summary.frame("synthesis")
        self.augmentation = self.summary.frame("augmentation")
        self.chosen = self.summary.run(self.augmentation.generator_run.iloc[0])

    def source(self, frame: pd.DataFrame) -> str:
        """The line under an exhibit of the runs in a frame."""
        return source([self.summary.run(name) for name in frame.index])

    def values(self) -> dict[str, Any]:
        """All that `{{ placeholders }}` in the report's text and captions stand for, in nested mappings."""
        swept = self._named(self.generators, self.task.config["generator_runs"])
        parts = [
            {"results": self.results, "count": self._counts()},
            architectures.comparison(self.vaes, self.ranking),
            architectures.checks(self.vaes, self.best.name),
            architectures.curves(self.best.history),
            failures.failures(self.vaes.loc[self.best.name], self.best.arrays),
            machine.machine(self.summary, self.best),
            {"precision": machine.precision(self.vaes, self.summary, self.best)},
            synthetic.classifiers(self.classifiers),
            synthetic.synthetic_worth(self.augmentation),
            synthetic.generators(self.generators, self.augmentation, model_name(self.chosen.name)),
            theory.exact_training(self.vaes, self.summary),
            theory.brute_force(self.exact_training),
            theory.vaegan(self.samples, self.vaegans),
            theory.task(self.sweep, swept, self.augmentation),
        ]
        return {name: value for part in parts for name, value in part.items()}

    def _counts(self) -> dict[str, int]:
        """How many of what the numbers are about."""
        return {
            "architectures": len(self.ranking),
            "test": len(self.best.arrays["labels"]),
            "gap": int(self.best.record["metrics"]["gap_images"]),
            "identity": identities.IMAGES,
            "identity_samples": identities.DRAWS,
        }

    def _planes(self) -> tuple[FinishedRun, FinishedRun]:
        """Looks into the plane of the best architecture that has one, and of a decoder trained on log p(x)."""
        looks = [(look, self.vaes.loc[run_name(look.config["vae_run"])]) for look in self.summary.runs("latent_space")]
        plain = [look for model in self.ranking for look, vae in looks if vae.model == model]
        exact = [look for look, vae in looks if vae.objective == "marginal"]
        if not (plain and exact):
            raise RunError(f"{self.results} lacks runs of latent_space.ipynb on an architecture or an exact decoder.")
        return plain[0], exact[0]

    @staticmethod
    def _named(frame: pd.DataFrame, folders: list[str]) -> pd.DataFrame:
        """The rows of the runs in these folders."""
        return frame.loc[[run_name(folder) for folder in folders]]
