"""A scale is checked before anything runs: its runs against the notebooks, and all of them against the report."""

import shlex
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from papermill.iorw import NoDatesSafeLoader
from toy import PROJECT, SCALE, Toy, make, write_notebook

sys.path.insert(0, str(PROJECT / "workflow"))

import needs
import plan

VAE = {"objective": "elbo", "protocol": "A"}
LONG = {"architecture": "conv", "train_images": 3000, "epochs": 4, "batch_size": 50}
GREY = LONG | {"objective": "elbo", "protocol": "B"}
PAIR = {"generator": "conditional", "split": "first_half", "latent_dim": 2, "updates": 500, "seed": 0}
ARM = needs.SETTINGS | {"seed": 0, "budgets": [*needs.BUDGETS], "generator_run": "synthesis/plain"}
FEW = ARM | {"fraction": 0.2, "arms": [*needs.ARMS, *needs.MORE_ARMS], "updates": [500, 1000]}
ALL = ARM | {"fraction": 1.0, "arms": [*needs.ARMS], "updates": 500}
NEAR = ARM | {"fraction": 0.2, "arms": ["synthetic"], "generator_run": "synthesis/near", "updates": 500}
COMPLETE = {  # the least that the report needs
    "vae/conv-seed0": VAE | {"architecture": "conv"},
    "vae/mlp-seed0": VAE | {"architecture": "mlp"},
    "vae/mlp-exact-seed0": VAE | {"architecture": "mlp", "objective": "marginal"},
    "vae/grey-seed0": GREY,
    "vaegan/any-seed0": LONG | {"compared_runs": ["vae/mlp-exact-seed0", "vae/grey-seed0"]},
    "latent_space/one": {"vae_run": "vae/mlp-seed0"},
    "latent_space/other": {"vae_run": "vae/mlp-exact-seed0"},
    "exact_training/any": {"vae_runs": ["vae/mlp-seed0", "vae/mlp-exact-seed0"]},
    "classifier/any": {"split": "train"},
    "synthesis/plain": PAIR | {"task_weight": 0.0},
    "synthesis/task": PAIR | {"task_weight": 10},
    "task/any": {"generator_runs": ["synthesis/plain", "synthesis/task"]},
    "augmentation/few": FEW,
    "augmentation/all": ALL,
}


@pytest.fixture
def toy(tmp_path: Path) -> Toy:
    return make(tmp_path)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (("value: 1", "valeu: 1"), r"alpha/one sets valeu: no parameter of notebooks/alpha\.ipynb"),
        (("alpha/one}", "alpha/six}"), "beta/one needs alpha/six, which is not among the runs"),
        (("  beta:", "  gamma:"), r"notebooks/gamma\.ipynb, which does not exist"),
        (("experiments:", "experiment:"), "toy.yaml cannot be read: KeyError"),
        (("value: 1", "run_dir: results/mine"), "alpha/one sets run_dir, which is given"),
        (("value: 1", "needs: {run_dir: alpha/two}"), "alpha/one sets run_dir, which is given"),
        (("alpha/one}", "alpha/one}, alpha_run: results/mine"), "beta/one sets alpha_run, which is given"),
        (("two: {value: 2}", "one: {value: 2}"), "one is there twice, again in line 11: rename it"),
        (("  alpha:", "  beta:"), "beta is there twice, again in line 8: rename it"),
        (
            ("two: {value: 2}", "two: {seeds: [0]}\n      two-seed0: {}"),
            "there are two runs alpha/two-seed0: rename one",
        ),
        (("two: {value: 2}", "two: {seeds: [1, 1]}"), "there are two runs alpha/two-seed1: rename one"),
        (
            ("value: 1", "needs: {alpha_run: beta/one}"),
            "each of these runs needs the one before it: (alpha|beta)/one, ",
        ),
    ],
)
def test_a_mistake_in_a_scale_is_one_clear_message(toy: Toy, edit: tuple[str, str], message: str):
    toy.edit("workflow/scales/toy.yaml", *edit)
    with pytest.raises(plan.PlanError, match=message) as caught:
        plan.load(toy.folder, "toy")
    assert "\n" not in str(caught.value)


def test_a_scale_without_an_experiment_of_the_report_is_refused(toy: Toy):
    write_notebook(toy.folder / "notebooks" / "another.ipynb", "x = 1")  # the report does not know it
    assert plan.load(toy.folder, "toy").runs
    write_notebook(toy.folder / "notebooks" / "classifier.ipynb", "run_dir = ''\nsplit = 'first_half'")
    with pytest.raises(plan.PlanError, match=r"toy\.yaml: the report needs a run of classifier$"):
        plan.load(toy.folder, "toy")
    toy.scale.write_text(SCALE + "  classifier: {runs: {one: {}}}\n")
    with pytest.raises(plan.PlanError, match=r"the report needs a run of classifier with split train$"):
        plan.load(toy.folder, "toy")
    toy.scale.write_text(SCALE + "  classifier: {runs: {one: {split: train}}}\n")
    assert "classifier/one" in plan.load(toy.folder, "toy").runs


@pytest.mark.parametrize(
    ("changes", "lacks"),
    [
        ({}, []),
        ({"exact_training/any": None}, ["a run of exact_training"]),
        ({"vae/mlp-exact-seed0": VAE | {"architecture": "mlp"}},
         ["a run of vae with objective marginal", "looks at a model with objective marginal"]),
        ({"vae/mlp-seed0": VAE | {"architecture": "mlp", "protocol": "B"}},
         ["two architectures", "mlp trained by the ELBO", "an architecture trained by the ELBO", "as vae_runs of"]),
        ({"vae/grey-seed0": None, "vae/any": GREY, "vaegan/any-seed0": LONG | {"compared_runs": ["vae/any"]}}, []),
        ({"vaegan/any-seed0": LONG | {"compared_runs": ["vae/conv-seed0"]}},
         ["a VAE under protocol B with vaegan/any-seed0's architecture, train_images, epochs, batch_size"]),
        *(({"vae/grey-seed0": GREY | other}, ["a VAE under protocol B with vaegan/any-seed0's architecture"])
          for other in ({"protocol": "A"}, {"objective": "iwae"}, {"train_images": 0}, {"epochs": 5})),
        ({"exact_training/any": {"vae_runs": ["results/notebook/vae"]}}, ["as vae_runs of exact_training/any"]),
        ({"augmentation/all": ALL | {"generator_run": "results/notebook/x"}},
         ["as generator_run of augmentation/all", "both of one generator alone"]),
        ({"latent_space/one": None}, ["an architecture trained by the ELBO"]),
        ({"latent_space/other": None}, ["a model with objective marginal"]),
        ({"classifier/any": {"split": "first_half"}}, ["a run of classifier with split train"]),
        ({"vae/any-seed1": GREY, "vae/grey-seed0": GREY | {"architecture": "mlp"}}, ["a VAE under protocol B"]),
        ({"vaegan/any-seed1": COMPLETE["vaegan/any-seed0"]}, []),
        ({"vaegan/other": COMPLETE["vaegan/any-seed0"]}, ["one model alone in vaegan"]),
        ({"vae/mlp-exact-seed0": VAE | {"architecture": "mlp", "objective": "marginal", "protocol": "B"}},
         ["objective marginal under protocol A", "at a model with objective marginal", "under protocol A as vae_runs"]),
        ({"vae/twin": VAE | {"architecture": "mlp", "precision": "float32"},
          "latent_space/one": {"vae_run": "vae/twin"}}, ["an architecture trained by the ELBO"]),
        ({f"vae/conv-{i}": VAE | {"architecture": "conv", "epochs": i} for i in range(7)}, ["at most 8 models in vae"]),
        ({"vae/deep": VAE | {"architecture": "conv", "latent_dim": 5}}, ["latent_dim 2 in vae/deep"]),
        ({"vae/mode": VAE | {"architecture": "conv", "dataset": "KMNIST"}}, ["the same dataset in all runs of vae"]),
        ({"synthesis/task": PAIR | {"task_weight": 0}},
         ["with and without task_weight in task/any", "no two generators of the same task_weight in task/any"]),
        ({"synthesis/plain": PAIR | {"task_weight": 1}}, ["with and without task_weight in task/any"]),
        ({"synthesis/task": PAIR | {"task_weight": 1, "generator": "around"}},
         ["generators that differ in task_weight alone in task/any, not in generator"]),
        ({"synthesis/more": PAIR | {"task_weight": 10},
          "task/any": {"generator_runs": ["synthesis/plain", "synthesis/task", "synthesis/more"]}},
         ["no two generators of the same task_weight in task/any"]),
        ({"task/any": {"generator_runs": ["synthesis/plain", "results/x"]}}, ["as generator_runs of task/any"]),
        ({f"synthesis/{name}": PAIR | {"task_weight": weight, "generator": "per_digit"}
          for name, weight in (("plain", 0), ("task", 10))}, ["generators of one VAE, with latent_dim 2, in task/any"]),
        ({"synthesis/task": PAIR | {"task_weight": 10, "seed": 1}},
         ["seed 1, to compare with synthesis/task", "differ in task_weight alone in task/any, not in seed"]),
        ({f"synthesis/{i}": PAIR for i in range(14)}, ["at most 15 generators in synthesis"]),
        ({"synthesis/other": PAIR | {"updates": 1000}},
         ["the same updates in all runs of synthesis", "real, synthetic after 1,000 updates", "2,000 updates"]),
        ({"augmentation/all": ALL | {"generator_run": "synthesis/task"}}, ["both of one generator alone"]),
        ({"augmentation/again": FEW, "augmentation/near": NEAR, "synthesis/near": PAIR | {"latent_dim": 64}}, []),
        ({"augmentation/near": NEAR | {"seed": 1}, "synthesis/near": PAIR | {"latent_dim": 64}},
         ["affine, afresh, afresh_synthetic, further, real, synthetic_only after 500 updates"]),
        ({"synthesis/plain": PAIR | {"latent_dim": 16, "task_weight": 0}},
         ["not in latent_dim", "with latent_dim 2, in task/any", "latent_dim 2 in the generator"]),
        ({"augmentation/all": ALL | {"batch_size": 64}}, ["batch_size 128 in all runs of augmentation"]),
        ({"augmentation/few": FEW | {"updates": 500}}, ["1,000 updates, twice those of synthesis"]),
        ({"augmentation/few": None},
         ["to compare with synthesis/plain", "to compare with synthesis/task", "at fraction 0.2", "1,000 updates"]),
        ({"augmentation/few": ALL | {"fraction": 0.2, "updates": [500, 1000]}},
         ["affine, afresh, afresh_synthetic, further, synthetic_only after 500 updates"]),
        ({"augmentation/all": ALL | {"budgets": ["epochs"]}}, ["real, synthetic after 500 updates"]),
        ({"augmentation/all": ALL | {"updates": 250}}, ["real, synthetic after 500 updates"]),
    ],
)  # fmt: skip
def test_what_the_report_needs_and_does_not_get_is_named(changes: dict[str, Any], lacks: list[str]):
    runs = {name: run for name, run in (COMPLETE | changes).items() if run is not None}
    found = needs.lacking(runs, needs.CONDITIONS)
    assert len(found) == len(lacks) and all(text in line for text, line in zip(lacks, found, strict=True)), found


def test_of_experiments_without_a_notebook_nothing_is_needed():
    assert needs.lacking({}, []) == []


def test_an_unknown_scale_names_those_there_are(toy: Toy):
    with pytest.raises(plan.PlanError, match="there is no scale 'huge'; the scales are: toy"):
        plan.load(toy.folder, "huge")


@pytest.mark.parametrize("name", ["batch", "notebook"])
def test_a_scale_does_not_share_the_folder_of_runs_by_hand(toy: Toy, name: str):
    toy.scale.rename(toy.scale.with_name(f"{name}.yaml"))
    with pytest.raises(plan.PlanError, match=rf"results/{name} is for runs by hand\. Rename {name}\.yaml$"):
        plan.load(toy.folder, name)


def test_seeds_make_runs_and_needs_follow_the_seed(tmp_path: Path):
    parameters = "run_dir = ''\nseed: int = 0\nbetas: list = [1]\nsource: str = ''"
    write_notebook(tmp_path / "notebooks" / "a.ipynb", parameters)
    (tmp_path / "workflow" / "scales").mkdir(parents=True)
    (tmp_path / "workflow" / "scales" / "s.yaml").write_text(
        "experiments: {a: {runs: {x: {seeds: [0, 1]},"
        " y: {seeds: [1], needs: {source: 'a/x-seed{seed}'}, betas: [0.1, 1], threads: 2}}}}"
    )
    runs = plan.load(tmp_path, "s").runs
    assert list(runs) == ["a/x-seed0", "a/x-seed1", "a/y-seed1"]
    assert (runs["a/y-seed1"].needed, runs["a/y-seed1"].threads) == (["a/x-seed1"], 2)
    assert runs["a/y-seed1"].arguments("results/s") == (
        "-r run_dir results/s/a/y-seed1 -r source results/s/a/x-seed1 -y 'betas: [0.1, 1]' -p seed 1"
    )


def test_a_list_comes_to_a_notebook_as_the_scale_has_it():
    """As papermill reads it, for whom 5e-05 is a text."""
    values = [5e-05, 1e20, 3, True, "1e-3", "2024", "a b", "it's", *range(100)]
    option, given = shlex.split(plan._argument("values", values))
    assert option == "-y" and yaml.load(given, NoDatesSafeLoader) == {"values": values}


def test_what_is_merged_into_a_run_may_be_set_otherwise_there(toy: Toy):
    toy.edit(
        "workflow/scales/toy.yaml", "two: {value: 2}", "two: &two {value: 2}\n      six: &six {<<: *two, value: 6}"
    )
    toy.edit("workflow/scales/toy.yaml", "one: {value: 1}", "one: {<<: *six, value: 1}")
    runs = plan.load(toy.folder, "toy").runs
    values = {name: run.parameters["value"] for name, run in runs.items()}
    assert values == {"beta/one": 0.5, "alpha/two": 2, "alpha/six": 6, "alpha/one": 1}


def test_a_number_with_an_exponent_is_a_number_as_papermill_takes_it(toy: Toy):
    toy.edit("workflow/scales/toy.yaml", "value: 1", "value: [1e-3, 2.5E+2, -3e4, '1e5', 1e, e5]")
    assert plan.load(toy.folder, "toy").runs["alpha/one"].parameters["value"] == [1e-3, 250, -3e4, "1e5", "1e", "e5"]


@pytest.mark.parametrize("scale", sorted(path.stem for path in (PROJECT / "workflow" / "scales").glob("*.yaml")))
def test_the_scales_of_the_project_are_valid(scale: str):
    assert plan.load(PROJECT, scale).runs
