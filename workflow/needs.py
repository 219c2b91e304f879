"""What the report needs of a scale's runs, so that a scale without it is refused before anything runs.

Here a run is its settings by name: the notebook's own, the scale's, and for what it needs the names of those runs. Runs
of several seeds make one model: `vae/conv-seed0` and `vae/conv-seed1` are the model `conv`. A run is what its settings
say, whatever it is called. What the report reads is in `report/report.ipynb` and `vaelib/report/`; whoever lets it read
more adds the condition here.
"""

import math
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any

Runs = Mapping[str, Mapping[str, Any]]  # settings by the name of the run

VARIATIONS = {"precision": "auto", "kl_warmup_epochs": 0, "importance_samples": 1, "encoder_epochs": 0}  # as by default
MOST = {"models": 8, "generators": 15}  # of which samples fit on a page
OPTIONAL = {"ablation", "baselines"}  # each is an appendix
TWIN = ("architecture", "train_images", "epochs", "batch_size")  # what a VAE-GAN shares with the VAE of its pixels
FRACTION = 0.2  # of the real images: where the report compares all arms, and generators are chosen
HALF = 30_000  # images of a half, of MNIST and of data sets like it
ARMS = {"real", "synthetic"}  # at every fraction, under both BUDGETS
BUDGETS = {"updates", "epochs"}
MORE_ARMS = {"further", "affine", "synthetic_only", "afresh", "afresh_synthetic"}  # at FRACTION, with equal updates
SETTINGS = {"batch_size": 128, "learning_rate": 0.004, "precision": "auto"}  # of classifiers that are compared


def lacking(runs: Runs, notebooks: Collection[str]) -> list[str]:
    """What the report needs and the runs do not have, in words; of experiments only that have a notebook."""
    found = []
    for experiment, conditions in CONDITIONS.items():
        own = {name: run for name, run in runs.items() if name.startswith(f"{experiment}/")}
        if experiment in notebooks and (own or experiment not in OPTIONAL):
            found += conditions(own, runs) if own else [f"a run of {experiment}"]
    return found


def _vae(own: Runs, runs: Runs) -> Iterator[str]:
    plain = {name: own[name]["architecture"] for name in _plain(own)}
    if len(set(plain.values())) < 2:
        yield "two architectures in vae, trained by the ELBO under protocol A"
    if len({_model(name) for name in plain}) > MOST["models"]:
        yield f"at most {MOST['models']} models in vae, trained by the ELBO under protocol A"
    exact = {own[name]["architecture"] for name in _exact(own)}
    if not exact:
        yield f"a run of vae with objective marginal under protocol A, precision {_usual_precision(own)}"
    for architecture in sorted(exact - set(plain.values())):
        yield f"{architecture} trained by the ELBO in vae, to compare with the one trained on log p(x)"
    for name, run in own.items():
        if run.get("latent_dim", 2) != 2:
            yield f"latent_dim 2 in {name}"
    if len({run.get("dataset") for run in own.values()}) > 1:
        yield "the same dataset in all runs of vae"


def _baselines(own: Runs, runs: Runs) -> Iterator[str]:
    if different := _differing(own.values(), "seed"):
        yield f"one model alone in baselines, of as many seeds as you like: its runs differ in {', '.join(different)}"
    compared = [runs[name] for name in _plain(runs) | _exact(runs)]
    if compared and max(map(_tested, own.values())) > min(map(_tested, compared)):
        yield "no more test_images in baselines than in vae (0 takes all), to compare on the same images"


def _ablation(own: Runs, runs: Runs) -> Iterator[str]:
    for network in dict.fromkeys(run["architecture"] for run in own.values()):
        if different := _differing((run for run in own.values() if run["architecture"] == network), "seed"):
            once = f"one run alone of {network} in ablation, of as many seeds as you like"
            yield f"{once}: its runs differ in {', '.join(different)}"


def _vaegan(own: Runs, runs: Runs) -> Iterator[str]:
    for name, run in own.items():
        compared = [runs[compared] for compared in run["compared_runs"] if compared in runs]
        own_pixels = [vae for vae in compared if (vae.get("objective"), vae.get("protocol")) == ("elbo", "B")]
        if not any(all(vae.get(same) == run.get(same) for same in TWIN) for vae in own_pixels):
            yield f"a VAE under protocol B with {name}'s {', '.join(TWIN)} among its compared_runs"
        if len(run["compared_runs"]) > MOST["models"]:
            yield f"at most {MOST['models']} compared_runs in {name}"
    if len({_model(name) for name in own}) > 1:
        yield "one model alone in vaegan, of as many seeds as you like"


def _latent_space(own: Runs, runs: Runs) -> Iterator[str]:
    seen = [run["vae_run"] for run in own.values() if run["vae_run"] in runs]
    if not set(seen) & _plain(runs):
        yield "a run of latent_space that looks at an architecture trained by the ELBO"
    if not set(seen) & _exact(runs):
        yield f"a run of latent_space that looks at a model with objective marginal, precision {_usual_precision(runs)}"


def _exact_training(own: Runs, runs: Runs) -> Iterator[str]:
    for name, run in own.items():
        if not set(run["vae_runs"]) <= set(runs):
            yield f"runs of this scale as vae_runs of {name}"
        elif any(runs[vae]["protocol"] != "A" for vae in run["vae_runs"]):
            yield f"runs under protocol A as vae_runs of {name}"
        for images in ("test_images", "gap_images"):
            if len({runs[vae].get(images) for vae in run["vae_runs"] if vae in runs}) > 1:
                yield f"the same {images} in all vae_runs of {name}"


def _classifier(own: Runs, runs: Runs) -> Iterator[str]:
    if not any(run["split"] == "train" for run in own.values()):
        yield "a run of classifier with split train"


def _synthesis(own: Runs, runs: Runs) -> Iterator[str]:
    if len({_model(name) for name in own}) > MOST["generators"]:
        yield f"at most {MOST['generators']} generators in synthesis"
    if len({run["updates"] for run in own.values()}) > 1:
        yield "the same updates in all runs of synthesis"
    compared = {run["seed"] for run in runs.values() if run.get("fraction") == FRACTION and "real" in run["arms"]}
    for name, run in own.items():
        if run["seed"] not in compared:
            yield f"the arm real in augmentation at fraction {FRACTION}, seed {run['seed']}, to compare with {name}"
    yield from seen_too_much(own, HALF)


def seen_too_much(runs: Runs, half: int) -> Iterator[str]:
    """What generators lack that see of the other half: they must leave over the images that all are chosen by."""
    most = round(FRACTION * half)
    for name, run in runs.items():
        if name.startswith("synthesis/") and run["split"] == "second_half" and not 0 < run["train_images"] <= most:
            yield f"train_images from 1 to {most:,} in {name}, {FRACTION:.0%} of its half, since split is second_half"


def _task(own: Runs, runs: Runs) -> Iterator[str]:
    for name, run in own.items():
        if not set(run["generator_runs"]) <= set(runs):
            yield f"runs of this scale as generator_runs of {name}"
            continue
        generators = [runs[generator] for generator in run["generator_runs"]]
        weights = [generator["task_weight"] for generator in generators]
        if 0 not in weights or not any(weight > 0 for weight in weights):
            yield f"generators with and without task_weight in {name}"
        if len(set(weights)) < len(weights):
            yield f"no two generators of the same task_weight in {name}"
        if different := _differing(generators, "task_weight"):
            yield f"generators that differ in task_weight alone in {name}, not in {', '.join(different)}"
        if any(generator["latent_dim"] != 2 or generator["generator"] == "per_digit" for generator in generators):
            yield f"generators of one VAE, with latent_dim 2, in {name}"


def _augmentation(own: Runs, runs: Runs) -> Iterator[str]:
    for name, run in own.items():
        if run["generator_run"] not in runs:
            yield f"a run of this scale as generator_run of {name}"
    for name, value in SETTINGS.items():
        if any(run[name] != value for run in own.values()):
            yield f"{name} {value} in all runs of augmentation, as in synthesis"
    main = {name: run for name, run in own.items() if {"real", "synthetic"} <= set(run["arms"])}
    if len({_model(run["generator_run"]) for run in main.values()}) != 1:
        yield "the arms real and synthetic in augmentation, both of one generator alone"
    if any(runs.get(run["generator_run"], {"latent_dim": 2})["latent_dim"] != 2 for run in main.values()):
        yield "latent_dim 2 in the generator of the arms real and synthetic in augmentation"
    fractions = {run["fraction"] for run in main.values()}
    if FRACTION not in fractions:
        yield f"the arms real and synthetic at fraction {FRACTION} in augmentation"
    for updates in {run["updates"] for name, run in runs.items() if name.startswith("synthesis/")}:
        yield from _arms(own, updates)
        if not any(run["fraction"] == FRACTION and 2 * updates in _lengths(run) for run in main.values()):
            yield f"{2 * updates:,} updates, twice those of synthesis, in augmentation at fraction {FRACTION}, too"


def _arms(own: Runs, updates: int) -> Iterator[str]:
    """What a seed lacks at a fraction, after as many updates as generators are compared with."""
    groups = {(run["fraction"], run["seed"]) for run in own.values()}
    for fraction, seed in sorted(groups):
        at = [run for run in own.values() if (run["fraction"], run["seed"]) == (fraction, seed)]
        long = [run for run in at if updates in _lengths(run)]
        there = {(arm, budget) for run in long for arm in run["arms"] for budget in run["budgets"]}
        needed = {(arm, budget) for arm in ARMS for budget in BUDGETS}
        if fraction == FRACTION:
            needed |= {(arm, "updates") for arm in MORE_ARMS}
        if missing := sorted({arm for arm, _ in needed - there}):
            yield f"{', '.join(missing)} after {updates:,} updates in augmentation at fraction {fraction}, seed {seed}"


CONDITIONS: dict[str, Callable[[Runs, Runs], Iterator[str]]] = {  # each is given its experiment's runs, and all
    "vae": _vae,
    "baselines": _baselines,
    "ablation": _ablation,
    "vaegan": _vaegan,
    "latent_space": _latent_space,
    "exact_training": _exact_training,
    "classifier": _classifier,
    "synthesis": _synthesis,
    "task": _task,
    "augmentation": _augmentation,
}


def _model(name: str) -> str:
    return re.sub(r"-seed\d+$", "", name.split("/")[-1])


def _differing(runs: Iterable[Mapping[str, Any]], *but: str) -> list[str]:
    """The parameters, besides some, that are not the same in all of the runs."""
    first, *others = runs
    return [name for name in first if name not in but and any(other.get(name) != first[name] for other in others)]


def _tested(run: Mapping[str, Any]) -> float:
    """How many test images a run measures; 0 stands for all."""
    return run["test_images"] or math.inf


def _lengths(run: Mapping[str, Any]) -> list[int]:
    """The numbers of updates of a run of augmentation."""
    return run["updates"] if isinstance(run["updates"], list) else [run["updates"]]


def _is_bounded(run: Mapping[str, Any]) -> bool:
    """Whether a run trained by the ELBO, under the protocol in which the report compares."""
    return (run.get("objective"), run.get("protocol")) == ("elbo", "A")


def _usual_precision(runs: Runs) -> str:
    """The precision that most architectures are trained in by the ELBO; a run in another one is no model of its own.

    `vaelib/report/plain.py` has the same rule.
    """
    architectures: dict[str, set[str]] = {}
    for run in runs.values():
        if _is_bounded(run):
            architectures.setdefault(_precision(run), set()).add(run["architecture"])
    return max(sorted(architectures), key=lambda name: (len(architectures[name]), name == "auto"), default="auto")


def _precision(run: Mapping[str, Any]) -> str:
    return run.get("precision", VARIATIONS["precision"])


def _exact(runs: Runs) -> set[str]:
    """The runs trained on log p(x), under that protocol, in the usual precision."""
    exact = {name for name, run in runs.items() if (run.get("objective"), run.get("protocol")) == ("marginal", "A")}
    usual = _usual_precision(runs)
    return {name for name in exact if _precision(runs[name]) == usual}


def _plain(runs: Runs) -> set[str]:
    """The runs that stand for their architecture: those of the ELBO with the fewest variations of their training.

    `vaelib/report/plain.py` has the same rule.
    """
    bounded = {name: run for name, run in runs.items() if _is_bounded(run)}
    usual = VARIATIONS | {"precision": _usual_precision(runs)}
    varied = {name: sum(run.get(p, value) != value for p, value in usual.items()) for name, run in bounded.items()}
    fewest: dict[str, int] = {}
    for name, run in bounded.items():
        fewest[run["architecture"]] = min(varied[name], fewest.get(run["architecture"], varied[name]))
    return {name for name, run in bounded.items() if varied[name] == fewest[run["architecture"]]}
