"""What the report needs of a scale's runs, so that a scale without it is refused before anything runs.

Here a run is its settings by name: the notebook's own, the scale's, and for what it needs the names of those runs. Runs
of several seeds make one model: `vae/conv-seed0` and `vae/conv-seed1` are the model `conv`. What the report reads is in
`report/report.ipynb` and `vaelib/report/`; whoever lets it read more adds the condition here.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

Runs = Mapping[str, Mapping[str, Any]]  # settings by the name of the run

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
    plain = {_model(name) for name, run in own.items() if _is_plain(name, run)}
    if len(plain) < 2:
        yield "two architectures in vae, trained by the ELBO under protocol A in runs named as the architecture"
    exact = {run["architecture"] for run in own.values() if run["objective"] == "marginal"}
    if not exact:
        yield "a run of vae with objective marginal"
    for architecture in sorted(exact - plain):
        yield f"{architecture} trained by the ELBO in vae, to compare with the one trained on log p(x)"


def _vaegan(own: Runs, runs: Runs) -> Iterator[str]:
    for name, run in own.items():
        if run["architecture"] not in {_model(compared) for compared in run["compared_runs"]}:
            yield f"the VAE of {name}'s own architecture, {run['architecture']}, among its compared_runs"


def _latent_space(own: Runs, runs: Runs) -> Iterator[str]:
    seen = [run["vae_run"] for run in own.values() if run["vae_run"] in runs]
    if not any(_is_plain(name, runs[name]) for name in seen):
        yield "a run of latent_space that looks at an architecture trained by the ELBO"
    if not any(runs[name].get("objective") == "marginal" for name in seen):
        yield "a run of latent_space that looks at a model with objective marginal"


def _exact_training(own: Runs, runs: Runs) -> Iterator[str]:
    for name, run in own.items():
        if not set(run["vae_runs"]) <= set(runs):
            yield f"runs of this scale as vae_runs of {name}"


def _classifier(own: Runs, runs: Runs) -> Iterator[str]:
    if not any(run["split"] == "train" for run in own.values()):
        yield "a run of classifier with split train"


def _synthesis(own: Runs, runs: Runs) -> Iterator[str]:
    yield from ()  # any will do


def _task(own: Runs, runs: Runs) -> Iterator[str]:
    for name, run in own.items():
        weights = [runs[generator]["task_weight"] for generator in run["generator_runs"] if generator in runs]
        if 0 not in weights or not any(weight > 0 for weight in weights):
            yield f"generators with and without task_weight in {name}"


def _augmentation(own: Runs, runs: Runs) -> Iterator[str]:
    chosen = [run for run in own.values() if run["fraction"] == FRACTION]
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
    return name.split("/")[-1].rsplit("-seed", 1)[0]


def _is_plain(name: str, run: Mapping[str, Any]) -> bool:
    """Whether a run stands for its architecture: named as it, and trained as all others are."""
    return (run.get("objective"), run.get("protocol"), run.get("architecture")) == ("elbo", "A", _model(name))
