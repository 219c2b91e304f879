"""The runs of a scale by what they are to the report, and all values that its prose quotes."""

from pathlib import Path
from typing import Any

import pandas as pd

from vaelib import classes
from vaelib.exact import identities
from vaelib.files import RunError
from vaelib.report import ablations, baselines, images, names, words
from vaelib.report.classifiers import Classifiers, Of
from vaelib.report.findings import architectures, failures, machine, objectives, synthetic, theory
from vaelib.report.plain import TWIN, plain_runs, ranking
from vaelib.report.summary import FinishedRun, Summary, compared_samples, published_likelihoods, run_name, source
from vaelib.synthetic.arms import BUDGETS


class Report:
    """Everything that the report shows. Runs are found by what they are, whatever a scale calls them.

    Frames have a row a run: `vaes` is all of them, `compared` those that stand for their architectures, `objectives`
    those of decoders trained by different objectives; `generators`, `augmentation` and `vaegans` are the other
    experiments'. `ranking` names the models of `compared`, best first on validation images; `runs` has for each the one
    run that is shown. `samples` has a row for each model whose samples the VAE-GANs were compared with, `sweep` one for
    each generator with a classifier in the loss or none, `on_all` one for each classifier trained on all images;
    `classifiers` are those with and without synthetic images.
    """

    def __init__(self, results: str | Path):
        self.results = str(results)
        self.summary = Summary(results)

        self.vaes = self.summary.frame("vae")
        self.dataset = self.vaes.dataset.iloc[0]
        classes.about(self.dataset)
        literature = published_likelihoods()
        self.published = literature[[self.dataset == classes.USUAL] * len(literature)]
        self.vaes["model"] = names.vaes(self.vaes)
        self.compared = plain_runs(self.vaes)
        if self.compared.architecture.nunique() < 2:
            raise RunError(f"{results} has fewer than two architectures under protocol A to compare.")
        self.ranking = ranking(self.compared)
        first_seeds = self.compared.groupby("model").seed.idxmin()
        self.runs = {model: self.summary.run(first_seeds[model]) for model in self.ranking}
        self.shown = self.vaes.loc[first_seeds[self.ranking]]
        self.best = self.runs[self.ranking[0]]
        self.plane = self._look(self.ranking, "an architecture")
        self.exact_plane = self._look(ranking(objectives.exact_runs(self.vaes)), "an exact decoder")
        self.plane_vae = self.summary.run(self.plane.config["vae_run"])

        self.ablations = ablations.table(self.summary)
        self.baselines = baselines.finished(self.summary)
        best = [self.ranking[0], ranking(objectives.exact_runs(self.vaes))[0]]
        self.in_proportion = baselines.table(self.baselines, self.summary, self.vaes[self.vaes.model.isin(best)])
        self.exact_training = self.summary.runs("exact_training")[0]
        self.objectives = self._named(self.vaes, self.exact_training.config["vae_runs"])
        self.vaegans = self.summary.frame("vaegan")
        self.vaegan = self.summary.runs("vaegan")[0]
        self.samples = compared_samples(self.summary.runs("vaegan"), self.vaes.model.to_dict())

        on_all = self.summary.frame("classifier").query("split == 'train'")
        self.on_all = on_all[on_all.model == on_all.model.iloc[0]]
        self.classifier = self.summary.run(self.on_all.index[0])
        self.generators = self.summary.frame("synthesis")
        self.augmentation = self.summary.frame("augmentation")
        self.classifiers = Classifiers(self.summary)
        chosen = self.generators[self.generators.model == self.classifiers.generator]
        self.chosen = self.summary.run(chosen.index[0])
        self.task = self.summary.runs("task")[0]
        self.sweep = theory.sweeps(self.summary.runs("task"), self.generators)

    def source(self, frame: pd.DataFrame) -> str:
        """The line under an exhibit of the runs in a frame."""
        return source([self.summary.run(name) for name in frame.index])

    def values(self) -> dict[str, Any]:
        """All that `{{ placeholders }}` in the report's text and captions stand for, in nested mappings.

        Beside them stands `dataset`, by which `publish` knows what the classes are called.
        """
        parts = [
            {"dataset": self.dataset, "results": self.results, "count": self._counts(), "kinds": names.KINDS},
            {"images": images.told(self.dataset)},
            architectures.training(self.compared),
            {"ablation": self._ablation()},
            {"proportion": self._proportion()},
            architectures.comparison(self.compared),
            architectures.checks(self.vaes, self.best.name),
            architectures.bound(self.shown),
            architectures.curves(self.best.history, self.ranking[0]),
            failures.failures(self.vaes.loc[self.best.name], self.best.arrays, self.best.test_images()),
            {"plane": self._seen()},
            machine.machine(self.summary, self.best),
            {"precision": machine.precision(self.summary, self.best)},
            synthetic.classifiers(self.on_all),
            synthetic.synthetic_worth(self.augmentation, self.generators, self.classifiers),
            synthetic.generators(self.generators, self.classifiers, self.vaes),
            objectives.exact_training(self.vaes),
            {"fitted": self._fitted()},
            objectives.price_list(self.vaes),
            objectives.brute_force(self.exact_training),
            theory.vaegan(self.samples, self.vaegans, self._twin(), self._likeliest()),
            theory.task(self.sweep, self.classifiers, self.generators),
            {"words": self._in_words()},
        ]
        return {name: value for part in parts for name, value in part.items()}

    def _proportion(self) -> dict[str, str]:
        """The appendix that sets the nats in proportion, and the pointer to it; both empty without its runs."""
        paragraph = baselines.paragraph(self.baselines)
        if not paragraph:
            return {"paragraph": "", "pointer": "", "images": ""}
        measured = self.baselines[0].record["metrics"]["measured_images"]
        return {"paragraph": paragraph, "pointer": ", @sec:app-proportion", "images": f"{measured:,}"}

    def _ablation(self) -> dict[str, str]:
        """What the runs say that take one thing away at a time; empty where there are none."""
        first, *_ = compared = [names.network(name) for name in self.shown.architecture]
        costs = ablations.costs(self.summary, first)
        rates = ablations.rates(self.summary, compared)
        pointer = "" if self.ablations.empty else " @tbl:ablation has one thing at a time."
        return {"told": f"{pointer}{costs['costs']}{rates}", "needs": costs["needs"]}

    def _counts(self) -> dict[str, int | str]:
        """How many of what the numbers are about."""
        part = "the first" if self.best.config["test_images"] else "all"
        return {
            "architectures": self.compared.architecture.nunique(),
            "test": f"{part} {len(self.best.arrays['labels']):,} test images",
            "validation": f"{len(self.best.arrays['log_px_validation']):,}",
            "gap": int(self.best.record["metrics"]["gap_images"]),
            "identity": identities.IMAGES,
        }

    def _in_words(self) -> dict[str, str]:
        """Counts with their nouns."""
        made_with = self.classifiers
        with_images = made_with.trained(Of("synthetic", generator=made_with.generator))
        seen = made_with.updates * int(self.augmentation.batch_size.iloc[0])
        return {
            "classifier_seeds": words.counted(len(self.on_all), "seed"),
            "worth_runs": words.counted(len(with_images), "run"),
            "passes": words.listed(
                f"{seen / made_with.real_images(at):.2g} at {100 * at:.0f} %" for at in made_with.fractions
            ),
            "worth": self._worth(),
            "vaegan_epochs": words.counted(int(self.vaegans.epochs.iloc[0]), "epoch"),
        }

    def _worth(self) -> str:
        """What images of the main table's generators do for a classifier, over all sizes and budgets, as a verb."""
        made_with = self.classifiers
        each = [
            change
            for model in made_with.tabled
            for at in made_with.fractions
            for budget in BUDGETS
            if (change := made_with.change(Of("synthetic", at, model, budget))) is not None
        ]
        gains = sum(words.told(change) == "a gain" for change in each)
        if not gains:
            return "never improve a classifier for certain"
        return f"improve a classifier for certain in {gains} of {words.counted(len(each), 'comparison')}"

    def _fitted(self) -> str:
        """How the encoder of the model that was trained on log p(x) was fitted."""
        exact, _ = objectives.twins(self.vaes)
        return objectives.fitted([self.summary.run(name).history for name in exact.index])

    def _seen(self) -> dict[str, Any]:
        """Whose planes are shown, and the share of holes in the first, in per cent."""
        return {
            "model": self.vaes.model[self.plane_vae.name],
            "hole": 100 * self.plane_vae.record["metrics"]["hole_share"],
            "exact": self.vaes.model[run_name(self.exact_plane.config["vae_run"])],
        }

    def _look(self, models: list[str], kind: str) -> FinishedRun:
        """The look into the plane of the first of these models that has one."""
        looks = self.summary.runs("latent_space")
        for model in models:
            for look in looks:
                if self.vaes.model[run_name(look.config["vae_run"])] == model:
                    return look
        raise RunError(f"{self.results} has no run of latent_space.ipynb that looks at {kind}.")

    def _twin(self) -> str:
        """The VAE among those that the VAE-GAN was compared with that saw the same pixels for as long: see TWIN."""
        own = self.vaegan.config
        compared = [run_name(folder) for folder in own["compared_runs"]]
        vaes = self.vaes.loc[[run for run in compared if run in self.vaes.index]]
        grey = vaes[(vaes.objective == "elbo") & (vaes.protocol == "B")]
        same = grey[(grey[list(TWIN)] == pd.Series({name: own[name] for name in TWIN})).all(axis="columns")]
        if same.empty:
            raise RunError(f"{self.vaegan.name} was compared with no VAE of grey pixels and its own {', '.join(TWIN)}.")
        return same.model.iloc[0]

    def _likeliest(self) -> str:
        """Of the VAEs that the VAE-GAN was compared with the best by the exact likelihood of held-out images."""
        compared = self.vaes[self.vaes.model.isin(self.samples.model)]
        if not (models := ranking(compared[compared.protocol == "A"])):
            raise RunError(f"{self.vaegan.name} was compared with no VAE under protocol A.")
        return models[0]

    def names_of_compared(self) -> dict[str, str]:
        """The models that the VAE-GAN was compared with by the names of their runs' folders, and its own."""
        return {run.removeprefix("vae/"): model for run, model in self.vaes.model.items()} | {"vaegan": "VAE-GAN"}

    @staticmethod
    def _named(frame: pd.DataFrame, folders: list[str]) -> pd.DataFrame:
        """The rows of the runs in these folders."""
        return frame.loc[[run_name(folder) for folder in folders]]
