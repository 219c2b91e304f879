"""Two cores have work to the end: how long a scale takes when its runs start as the plan says, in a simulation."""

import heapq
import json
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from toy import PROJECT, make, write

sys.path.insert(0, str(PROJECT / "workflow"))

import plan

LANES = 2
START = 5.0  # seconds that a run takes besides those of its record: Python, the kernel, the imports, the end of both
# Seconds by the records of runs, means over their seeds. Those of `standard` are of two cores. Those of `full` are the
# minutes of its published report: an H100's, but a processor's where it emulated bfloat16; runs newer than that report
# (augmentation by per-digit and regions) are given the seconds of their like by classified.
SECONDS = {
    "standard": {
        "vae/conv": 95, "vae/conv-grey": 64, "vae/resmlp": 90, "vae/resmlp-exact": 182, "vae/aevb": 38,
        "vae/mlp-grey": 20, "vae/mlp-gaussian": 26, "vae/mlp-continuous-bernoulli": 36, "vae/mlp": 34,
        "vaegan/conv": 67,
        "latent_space/resmlp": 22, "latent_space/resmlp-exact": 27,
        "exact_training/decoders": 9,
        "classifier/all": 22, "classifier/judge": 12, "classifier/critic": 12,
        "synthesis/classified-2d": 39, "synthesis/around-64d": 29, "synthesis/classified-2d-task10": 106,
        "synthesis/conditional-2d": 43, "synthesis/regions-2d": 29,
        "task/classified": 11,
        "augmentation/fraction20-longer": 30, "augmentation/fraction20-others": 35, "augmentation/fraction100": 24,
        "augmentation/fraction50": 24, "augmentation/classified100": 7, "augmentation/classified50": 8,
        "augmentation/classified20": 8, "augmentation/fraction20": 25, "augmentation/around20": 7,
    },
    "full": {
        "vae/mlp-iwae50": 138, "vae/resmlp-wide-exact": 398, "vae/resmlp-wide": 116, "vae/conv": 122,
        "vae/conv-grey": 76, "vae/resmlp": 106, "vae/resmlp-grey": 120, "vae/resmlp-exact": 218,
        "vae/resmlp-lookup": 208, "vae/mlp-exact": 154, "vae/mlp-exact-float32": 128, "vae/mlp-float32": 66,
        "vae/mlp-exact-bfloat16": 1984, "vae/mlp-bfloat16": 568, "vae/mlp-lookup": 124, "vae/mlp-elbo8": 58,
        "vae/mlp-iwae5": 98, "vae/aevb": 52, "vae/mlp-gaussian": 114, "vae/mlp-continuous-bernoulli": 126,
        "vae/mlp": 92,
        "ablation/resmlp": 266, "ablation/conv": 72, "ablation/mlp": 84, "ablation/aevb": 66,
        "baselines/small": 174,
        "vaegan/conv": 78,
        "latent_space/resmlp": 18, "latent_space/resmlp-wide": 18, "latent_space/resmlp-wide-exact": 24,
        "exact_training/decoders": 6,
        "classifier/all": 60, "classifier/all-float32": 60, "classifier/all-bfloat16": 460, "classifier/judge": 18,
        "classifier/critic": 18,
        "synthesis/per-digit-2d": 140, "synthesis/classified-2d-task10": 60, "synthesis/classified-2d-task30": 30,
        "synthesis/classified-2d": 54, "synthesis/around-64d": 36, "synthesis/conditional-2d-closed": 104,
        "synthesis/conditional-2d-task10": 96, "synthesis/classified-2d-sure": 44, "synthesis/conditional-2d": 98,
        "synthesis/conditional-16d": 28, "synthesis/regions-2d": 52,
        "task/classified": 6, "task/conditional": 6,
        "augmentation/fraction20-longest": 114, "augmentation/fraction20-longer": 90,
        "augmentation/fraction20-others": 92, "augmentation/fraction100": 66, "augmentation/fraction50": 60,
        "augmentation/per-digit100": 12, "augmentation/per-digit50": 6, "augmentation/regions100": 12,
        "augmentation/regions50": 6, "augmentation/classified100": 12, "augmentation/classified50": 6,
        "augmentation/fraction20": 30, "augmentation/per-digit20": 6, "augmentation/regions20": 6,
        "augmentation/classified20": 6, "augmentation/around20": 6, "augmentation/around50": 6,
        "augmentation/around100": 6, "augmentation/closed20": 6,
    },
}  # fmt: skip


def seconds_of(scale: str, runs: Mapping[str, plan.Run]) -> dict[str, float]:
    """What each run takes, by the table, which knows all of them and no others."""
    names = {run: run.split("-seed")[0] for run in runs}
    assert set(SECONDS[scale]) == set(names.values())
    return {run: SECONDS[scale][name] for run, name in names.items()}


def makespan(runs: Mapping[str, plan.Run], priorities: Mapping[str, int], seconds: Mapping[str, float]) -> float:
    """When the last run ends, if a free lane takes the most urgent run that can start, as Snakemake does."""
    now, waiting, finished = 0.0, set(runs), set()
    at_work: list[tuple[float, str]] = []
    while waiting or at_work:
        ready = [run for run in waiting if finished.issuperset(runs[run].needed)]
        for run in sorted(ready, key=priorities.__getitem__, reverse=True)[: LANES - len(at_work)]:
            heapq.heappush(at_work, (now + START + seconds[run], run))
            waiting.remove(run)
        now, run = heapq.heappop(at_work)
        finished.add(run)
    return now


def bound(runs: Mapping[str, plan.Run], seconds: Mapping[str, float]) -> float:
    """No schedule ends earlier: the lanes share the work, and what a run needs comes before it."""

    def end(run: str) -> float:
        return START + seconds[run] + max(map(end, runs[run].needed), default=0.0)

    return max(sum(START + seconds[run] for run in runs) / LANES, *map(end, runs))


@pytest.mark.parametrize("scale", SECONDS)
@pytest.mark.parametrize(("measured", "above"), [(True, 1.02), (False, 1.05)])
def test_both_cores_have_work_nearly_to_the_end(scale: str, measured: bool, above: float):
    runs = plan.load(PROJECT, scale)
    seconds = seconds_of(scale, runs.runs)
    priorities = runs.priorities(seconds if measured else {})  # without a record, in the order of the YAML
    assert makespan(runs.runs, priorities, seconds) < above * bound(runs.runs, seconds)


@pytest.mark.parametrize("scale", SECONDS)
def test_so_they_have_where_interrupted_runs_left_no_record(scale: str):
    runs = plan.load(PROJECT, scale)
    seconds = seconds_of(scale, runs.runs)
    for interrupted in zip(runs.runs, [*runs.runs][1:], strict=False):
        left = {run: taken for run, taken in seconds.items() if run not in interrupted}
        assert makespan(runs.runs, runs.priorities(left), seconds) < 1.02 * bound(runs.runs, seconds), interrupted


def chain(*links: str) -> plan.Plan:
    """A plan of runs, declared in this order, that are called by a letter each and need those behind the arrow."""
    runs = [link.partition("<") for link in links]
    by_id = {f"x/{a}": plan.Run("x", a, {}, {"n": [f"x/{b}" for b in needs]}, None) for a, _, needs in runs}
    return plan.Plan("any", plan.USUAL, by_id, "")


@pytest.mark.parametrize(
    ("declared", "seconds", "order"),
    [
        (["a", "b", "c"], {}, "abc"),
        (["a", "b<d", "c", "d"], {}, "adbc"),  # what is needed is as early as what needs it
        (["a", "b", "c"], {"a": 1, "b": 2, "c": 3}, "cba"),
        (["a", "b", "c<a"], {"a": 1, "b": 5, "c": 9}, "acb"),  # short itself, but much waits for it
        (["a", "b", "c<b"], {"a": 2, "c": 1}, "bac"),  # one without a record might be the longest
    ],
)
def test_the_longest_chain_goes_first_and_without_records_the_declared_order(declared, seconds, order):
    priorities = chain(*declared).priorities({f"x/{run}": taken for run, taken in seconds.items()})
    assert "".join(run[-1] for run in sorted(priorities, key=priorities.get, reverse=True)) == order


def test_seconds_are_those_of_the_records_that_there_are(tmp_path: Path):
    toy = make(tmp_path)
    write(toy.results / "alpha/one/metrics.json", json.dumps({"provenance": {"wall_seconds": 12.5}}))
    write(toy.results / "alpha/two/metrics.json", '{"provenance"')
    assert plan.load(toy.folder, "toy").measured(toy.results) == {"alpha/one": 12.5}
