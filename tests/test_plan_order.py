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
OTHER = 60.0  # of a run that the tables below do not know
# Seconds by the records of runs on two cores, those of all seeds alike. For `full` they are reckoned from the training
# seconds in its published report and from the measuring and the classifiers of `standard`.
SECONDS = {
    "standard": {
        "vae/conv": 139, "vae/conv-grey": 50, "vae/resmlp": 110, "vae/resmlp-exact": 155, "vae/aevb": 45,
        "vae/mlp-iwae5": 67, "vae/mlp-exact": 63, "vae/mlp-grey": 42, "vae/mlp": 48, "vaegan/conv": 74,
        "latent_space/resmlp": 15, "latent_space/resmlp-exact": 15, "exact_training/decoders": 7, "classifier/all": 21,
        "classifier/judge": 8, "classifier/critic": 8, "synthesis/conditional-2d-task10": 50,
        "synthesis/conditional-2d-task100": 54,
        "synthesis/around-64d-faithful": 43, "synthesis/conditional-16d": 26, "synthesis/conditional-2d": 25,
        "synthesis/per-digit-2d": 26, "synthesis/regions-2d": 12, "task/sweep": 11, "augmentation/fraction20": 37,
        "augmentation/fraction50": 19, "augmentation/fraction100": 18,
    },
    "full": {
        "vae/mlp-iwae50": 2550, "vae/resmlp-wide-exact": 1250, "vae/resmlp-wide": 800, "vae/conv": 480,
        "vae/conv-grey": 260, "vae/resmlp": 375, "vae/resmlp-grey": 370, "vae/resmlp-exact": 470, "vae/mlp-exact": 360,
        "vae/mlp-float32": 185, "vae/mlp-iwae5": 270, "vae/aevb": 140, "vae/mlp": 170, "vaegan/conv": 350,
        "latent_space/resmlp": 20, "latent_space/resmlp-wide": 25, "latent_space/resmlp-wide-exact": 25,
        "exact_training/decoders": 10, "classifier/all": 60, "classifier/judge": 16, "classifier/critic": 16,
        "synthesis/conditional-2d-task10": 250, "synthesis/conditional-2d-task100": 250,
        "synthesis/conditional-2d-task1000": 250, "synthesis/around-64d-faithful": 240,
        "synthesis/conditional-16d": 150, "synthesis/conditional-16d-sampled": 150, "synthesis/around-16d": 150,
        "synthesis/conditional-2d": 150, "synthesis/per-digit-2d": 200, "synthesis/regions-2d": 100, "task/sweep": 20,
        "augmentation/fraction20": 75, "augmentation/fraction50": 65, "augmentation/fraction100": 65,
    },
}  # fmt: skip


def seconds_of(scale: str, runs: Mapping[str, plan.Run]) -> dict[str, float]:
    """What each run takes, by the table."""
    return {run: SECONDS[scale].get(run.split("-seed")[0], OTHER) for run in runs}


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
