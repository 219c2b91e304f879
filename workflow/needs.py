"""What the report needs of a scale's runs, so that a scale without it is refused before anything runs.

Here a run is its settings by name: the notebook's own, the scale's, and for what it needs the names of those runs. Runs
of several seeds make one model: `vae/conv-seed0` and `vae/conv-seed1` are the model `conv`. A run is what its settings
say, whatever it is called. What the report reads is in `report/report.ipynb` and `vaelib/report/`; whoever lets it read
more adds the condition here.
"""

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

Runs = Mapping[str, Mapping[str, Any]]  # settings by the name of the run

VARIATIONS = {"precision": "auto", "kl_warmup_epochs": 0, "importance_samples": 1, "encoder_epochs": 0}  # as by default
MOST = {"models": 8, "generators": 15}  # of which samples fit on a page
FRACTION = 0.2  # of the real images: where the report compares all arms, and generators are chosen
ARMS = {"real", "synthetic", "duplicated", "affine", "further", "synthetic_only"}
ARMS_ELSEWHERE = {"real", "synthetic", "further"}
BUDGETS = {"updates", "epochs"}


def lacking(runs: Runs, notebooks: Collection[str]) -> list[str]:
    """What the report needs and the runs do not have, in words; of experiments only that have a notebook."""
    found = []
    for experiment, conditions in CONDITIONS.items():
        own = {name: run for name, run in runs.items() if name.startswith(f"{experiment}/")}
        if experiment in notebooks:
            found += conditions(own, runs) if own else [f"a run of {experiment}"]
    return found


def _vae(own: Runs, runs: Runs) -> Iterator[str]:
    plain = {name: own[name]["architecture"] for name in _plain(own)}
    if len(set(plain.values())) < 2:
        yield "two architectures in vae, trained by the ELBO under protocol A"
    if len({_model(name) for name in plain}) > MOST["models"]:
        yield f"at most {MOST['models']} models in vae, trained by the ELBO under protocol A"
    exact = {run["architecture"] for run in own.values() if _is_exact(run)}
    if not exact:
        yield "a run of vae with objective marginal under protocol A"
    for architecture in sorted(exact - set(plain.values())):
        yield f"{architecture} trained by the ELBO in vae, to compare with the one trained on log p(x)"
    for name, run in own.items():
        if run.get("latent_dim", 2) != 2:
            yield f"latent_dim 2 in {name}"
    if len({run.get("dataset") for run in own.values()}) > 1:
        yield "the same dataset in all runs of vae"


def _vaegan(own: Runs, runs: Runs) -> Iterator[str]:
    for name, run in own.items():
        compared = [runs[compared] for compared in run["compared_runs"] if compared in runs]
        if run["architecture"] not in {vae["architecture"] for vae in compared if _is_bounded(vae)}:
            yield f"the VAE of {name}'s own architecture, {run['architecture']}, among its compared_runs"
        if len(run["compared_runs"]) > MOST["models"]:
            yield f"at most {MOST['models']} compared_runs in {name}"
    if len({_model(name) for name in own}) > 1:
        yield "one model alone in vaegan, of as many seeds as you like"


def _latent_space(own: Runs, runs: Runs) -> Iterator[str]:
    seen = [run["vae_run"] for run in own.values() if run["vae_run"] in runs]
    if not set(seen) & _plain(runs):
        yield "a run of latent_space that looks at an architecture trained by the ELBO"
    if not any(_is_exact(runs[name]) for name in seen):
        yield "a run of latent_space that looks at a model with objective marginal"


def _exact_training(own: Runs, runs: Runs) -> Iterator[str]:
    for name, run in own.items():
        if not set(run["vae_runs"]) <= set(runs):
            yield f"runs of this scale as vae_runs of {name}"
        elif any(runs[vae]["protocol"] != "A" for vae in run["vae_runs"]):
            yield f"runs under protocol A as vae_runs of {name}"


def _classifier(own: Runs, runs: Runs) -> Iterator[str]:
    if not any(run["split"] == "train" for run in own.values()):
        yield "a run of classifier with split train"


def _synthesis(own: Runs, runs: Runs) -> Iterator[str]:
    if len({_model(name) for name in own}) < len(own):
        yield "one seed alone of each model in synthesis"
    if len(own) > MOST["generators"]:
        yield f"at most {MOST['generators']} runs of synthesis"
    with_and_without = [run for name, run in runs.items() if name in own or run.get("fraction") == FRACTION]
    updates = {_updates(run) for run in with_and_without}
    if len(updates) > 1:
        numbers = " and ".join(f"{number:,}" for number in sorted(updates))
        yield f"equal updates in synthesis and in augmentation at fraction {FRACTION}, not {numbers}"


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
        if any((run.get("generator"), run.get("latent_dim")) != ("conditional", 2) for run in generators):
            yield f"generators that are conditional, with latent_dim 2, in {name}"


def _augmentation(own: Runs, runs: Runs) -> Iterator[str]:
    chosen = [run for run in own.values() if run["fraction"] == FRACTION]
    if len({run["generator_run"] for run in own.values()}) > 1:
        yield "the same generator_run in all runs of augmentation"
    if len({(run["fraction"], run["seed"]) for run in own.values()}) < len(own):
        yield "no two runs of augmentation with the same fraction and seed"
    if not any(run["seed"] == 0 for run in chosen):
        yield f"a run of augmentation with fraction {FRACTION} and seed 0"
    for name, run in own.items():
        arms = (ARMS if run in chosen else ARMS_ELSEWHERE) - set(run["arms"])
        if missing := sorted(arms) + sorted(BUDGETS - set(run["budgets"])):
            yield f"{', '.join(missing)} in {name}"
        if run["generator_run"] not in runs:
            yield f"a run of this scale as generator_run of {name}"


CONDITIONS: dict[str, Callable[[Runs, Runs], Iterator[str]]] = {  # each is given its experiment's runs, and all
    "vae": _vae,
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


def _updates(run: Mapping[str, Any]) -> int:
    """The updates that a run's classifiers are compared after: of several numbers, the largest."""
    return max(run["updates"]) if isinstance(run["updates"], list) else run["updates"]


def _is_bounded(run: Mapping[str, Any]) -> bool:
    """Whether a run trained by the ELBO, under the protocol in which the report compares."""
    return (run.get("objective"), run.get("protocol")) == ("elbo", "A")


def _is_exact(run: Mapping[str, Any]) -> bool:
    """Whether a run trained on log p(x), under that protocol."""
    return (run.get("objective"), run.get("protocol")) == ("marginal", "A")


def _plain(runs: Runs) -> set[str]:
    """The runs that stand for their architecture: those of the ELBO with the fewest variations of their training.

    `vaelib/report/plain.py` has the same rule.
    """
    bounded = {name: run for name, run in runs.items() if _is_bounded(run)}
    varied = {name: sum(run.get(p, usual) != usual for p, usual in VARIATIONS.items()) for name, run in bounded.items()}
    fewest: dict[str, int] = {}
    for name, run in bounded.items():
        fewest[run["architecture"]] = min(varied[name], fewest.get(run["architecture"], varied[name]))
    return {name for name, run in bounded.items() if varied[name] == fewest[run["architecture"]]}
