"""A scale with made-up results, small enough to know every number: what the report reads, without any run.

Its runs bear other names than those of the project's scales wherever a name is not to count.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from safetensors.numpy import save_file

PROVENANCE = {
    "commit": "0123456789abcdef+", "versions": {"torch": "9.9"}, "device": "A processor", "precision": "bfloat16",
    "threads": 1, "runs_side_by_side": 2,
    "started": "2026-05-01T10:00:00+00:00", "finished": "2026-05-01T10:30:00+00:00", "wall_seconds": 1800.0,
}  # fmt: skip
ARMS = {
    "real": 0.96,
    "synthetic": 0.97,
    "affine": 0.965,
    "afresh": 0.985,
    "afresh_synthetic": 0.984,
    "further": 0.98,
    "synthetic_only": 0.9,
}  # their accuracy on the images that classifiers are measured on
MEASURED = 1_000  # such images
LONGER = {500: 0.0, 1000: 0.005, 2000: 0.01}  # what more updates add

ERRORS = {f"{way}_error_{d}": size * d for way, size in (("grid", 2.2), ("draws", 0.1)) for d in (2, 5, 20)}
SHARES = {"largest_class_share": 0.2, "smallest_class_share": 0.04}

Records = dict[str, dict[str, Any]]


def record(config: dict[str, Any], metrics: dict[str, float], **provenance: Any) -> dict[str, Any]:
    """A run's record."""
    return {"config": config, "metrics": metrics, "provenance": PROVENANCE | provenance}


def vae(architecture: str, nll: float, seed: int = 0, provenance: dict[str, Any] | None = None, **changes: Any) -> dict:
    """The record of a VAE whose exact NLL is `nll`; its gaps are 0.5 and 1.5 nats."""
    config = {
        "dataset": "MNIST", "train_images": 0, "test_images": 0, "architecture": architecture, "latent_dim": 2,
        "protocol": "A", "objective": "elbo", "importance_samples": 1, "kl_warmup_epochs": 0.0, "epochs": 3,
        "encoder_epochs": 0, "batch_size": 250, "learning_rate": 0.004, "seed": seed, "precision": "auto",
    }  # fmt: skip
    metrics = {
        "exact_nll": nll, "elbo": -nll - 2, "gap_images": 3, "gap_exact_nll": nll - 1, "iwae_nll": nll,
        "approximation_gap": 0.5, "amortisation_gap": 1.5,
        "gap_elbo": -nll - 1, "elbo_lookup": 0.75 - nll, "elbo_best_of_nine": -nll, "exact_nll_train": nll - 3,
        "exact_nll_validation": nll - 1.5,
        "estimate_bias": 0.25, "misread_reconstructions": 0.125, "unsure_samples": 0.25,
        "exact_nll_error": 0.001, "exact_nll_worst_error": 0.02, "hole_share": 0.125, "pixel_entropy": 45.5,
        "identity_smallest_excess": 0.01, "identity_elbo_difference": 0.02, "identity_elbo_standard_error": 0.04,
        "parameters": 1000, "best_epoch": 3, "train_seconds": 10.0,
        **{f"iwae_{k}_bound": -nll - 1 + i for i, k in enumerate((1, 5, 50, 500))},
        **{f"knn_accuracy_{count}": 0.7 for count in (100, 600, 1000)},
    }  # fmt: skip
    changed = {name: changes.get(name, value) for name, value in config.items()}
    return record(changed, {name: changes.get(name, value) for name, value in metrics.items()}, **(provenance or {}))


def augmented(fraction: float, seed: int, **changes: Any) -> dict[str, Any]:
    """The record of a run of all arms; what it measured is in `accuracies`."""
    config = {"generator_run": "any/synthesis/plain", "fraction": fraction, "updates": [500, 1000], "seed": seed,
              "batch_size": 128, "learning_rate": 0.004, "arms": [*ARMS], "budgets": ["updates", "epochs"]}  # fmt: skip
    config |= changes
    return record(config, {"real_images": 30_000 * fraction, "updates": np.max(config["updates"]).item()})


def generator(weight: float, latent_dim: int, gain: float, **changes: Any) -> dict[str, Any]:
    """The record of a generator whose images add `gain` to the accuracy on validation images."""
    config = {"generator": "conditional", "architecture": "mlp", "latent_dim": latent_dim,
              "beta": 0.01 if latent_dim > 2 else 1.0,
              "task_weight": weight, "dataset": "MNIST", "train_images": 0, "images": 0, "epochs": 5, "batch_size": 250,
              "certainty": 0.0, "learning_rate": 0.004, "seed": 0, "nll_images": 1000, "updates": 500, "pixels": "mean",
              "split": "first_half"}  # fmt: skip
    metrics = {"label_error": 0.02 / (1 + weight), "judge_accuracy": 0.99, "cas": 0.8 + gain, "parameters": 1000,
               "validation_accuracy": ARMS["real"] + gain, "images_per_second": 12_345.6}  # fmt: skip
    return record(config | changes, metrics)


def accuracies(run: Mapping[str, Any]) -> tuple[pd.DataFrame, dict[str, np.ndarray]]:
    """What a run of `augmentation` or `synthesis` keeps of its classifiers: as accurate as `ARMS` and `LONGER` say.

    With the seed the accuracy rises by 0.002. The images that come first are easy.
    """
    config, rows, arrays = run["config"], [], {}
    lengths = config["updates"] if isinstance(config["updates"], list) else [config["updates"]]
    for arm in config.get("arms", ["synthetic"]):
        for length in lengths:
            for budget in config.get("budgets", ["updates"]):
                updates = length * (2 if budget == "epochs" and arm != "real" else 1)
                right = run["metrics"].get("validation_accuracy", ARMS.get(arm, 0.9) + LONGER.get(updates, 0.0))
                right += 0.002 * config["seed"]
                row = {"arm": arm, "budget": budget, "images": 1, "baseline_updates": length, "updates": updates}
                row |= {"seed": config["seed"], "batch_size": 128, "learning_rate": 0.004, "precision": "auto"}
                row |= {"classifier": "any", "real_checksum": f"of {config.get('fraction', 0.2)}"}
                for measured in ("validation", "test"):
                    row[f"{measured}_checksum"] = measured
                    name = f"{measured}_correct.{arm}.{updates}.seed{config['seed']}"
                    arrays[name] = np.arange(MEASURED) < round(MEASURED * right)
                rows.append(row)
    return pd.DataFrame(rows), arrays


def records() -> Records:
    """A record by run name, for every experiment."""
    classifier = {"train_images": 0, "epochs": 3, "batch_size": 50, "learning_rate": 0.004, "seed": 0}
    classifier |= {"dataset": "MNIST", "augmentation": "affine"}
    gan = {"architecture": "conv", "train_images": 30_000, "gamma": 1.0, "epochs": 4, "batch_size": 250, "seed": 0}
    gan |= {
        "dataset": "MNIST",
        "learning_rate": 0.001,
        "compared_runs": [f"any/vae/{name}-seed0" for name in ("twin", "conv", "deep")],
    }
    exact = {"objective": "marginal", "importance_samples": 32, "encoder_epochs": 2, "amortisation_gap": 15.5}
    swept = ["synthesis/plain", "synthesis/told"]
    return {
        "vae/mlp-seed1": vae("mlp", 134.0, seed=1),
        "vae/mlp-seed2": vae("mlp", 136.0, seed=2),
        "vae/conv-seed0": vae("conv", 130.0),
        "vae/deep-seed0": vae("conv", 124.0, elbo=-140.0, **exact),
        "vae/grey-seed0": vae("mlp", 150.0, protocol="B"),
        "vae/twin-seed0": vae("conv", 145.0, protocol="B", train_images=30_000, epochs=4),
        "latent_space/first": record({"vae_run": "any/vae/deep-seed0"}, {}),
        "latent_space/second": record({"vae_run": "any/vae/mlp-seed1"}, {}),
        "latent_space/third": record({"vae_run": "any/vae/conv-seed0"}, {}),
        "exact_training/any": record({"vae_runs": ["vae/conv-seed0", "vae/deep-seed0"], "points": 4096}, ERRORS),
        "classifier/half": record({**classifier, "split": "first_half"}, {"test_accuracy": 0.9}),
        "classifier/whole": record({**classifier, "split": "train"}, {"test_accuracy": 0.99}),
        "synthesis/told": generator(10.0, 2, -0.01),
        "synthesis/plain": generator(0.0, 2, -0.02),
        "synthesis/near": generator(0.0, 64, 0.01, generator="around"),
        "task/any": record({"generator_runs": [f"any/{name}" for name in swept]}, {}),
        "vaegan/any": record(gan, SHARES),
        **{f"augmentation/{int(10 * f)}-{seed}": augmented(f, seed) for f in (0.2, 1.0) for seed in (0, 1)},
        "augmentation/near": augmented(0.2, 0, generator_run="any/synthesis/near", arms=["synthetic"]),
    }


def of_settings(runs: Mapping[str, Mapping[str, Any]]) -> Records:
    """A record for each run of a scale, whose parameters are given by its name."""
    return {name: of_run(place, name, settings) for place, (name, settings) in enumerate(runs.items())}


def of_run(place: int, name: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The record of one run; a later VAE is a better one, but for what it is trained by, and so is a generator."""
    metrics: Mapping[str, Any] = {}
    match name.split("/")[0]:
        case "vae":
            metrics = vae(settings["architecture"], 150.0 - place)["metrics"]
        case "exact_training":
            metrics = ERRORS
        case "classifier":
            metrics = {"test_accuracy": 0.99}
        case "baselines":
            table = baselines(max(settings["components"]))
            metrics = {f"{row.key}_nll": row.test_exact_nll for row in table.itertuples()}
            metrics |= {f"decoder_{d}d_estimate_bias": bias for d, bias in ((1, -0.004), (2, 0.1), (3, 1.25))}
            metrics |= {"qlvm_estimate_nll": 139.5, "measured_images": 2}
        case "synthesis":
            metrics = generator(settings["task_weight"], settings["latent_dim"], 0.001 * (place % 20))["metrics"]
        case "vaegan":
            metrics = SHARES
        case "augmentation":
            metrics = augmented(settings["fraction"], settings["seed"])["metrics"]
    return record(dict(settings), dict(metrics))


def arrays() -> dict[str, np.ndarray]:
    """What the report's values need of a VAE's arrays: three images with gaps, of four."""
    confusions = np.eye(10)
    confusions[4, 9], confusions[9, 4], confusions[5, 3] = 0.3, 0.2, 0.1
    shares = np.full(10, 0.1)
    shares[1], shares[8] = 0.15, 0.05
    return {
        "labels": np.arange(4),
        "log_px": np.array([-100.0, -300.0, -120.0, -110.0]),
        "log_px_validation": np.array([-105.0, -115.0]),
        "approximation_gap": np.array([0.1, 0.2, 0.9]),
        "amortisation_gap": np.array([6.0, 3.0, 1.0]),
        "confusions": confusions,
        "class_shares": shares,
        "class_shares_training": np.r_[0.12, np.full(8, 0.1), 0.08],
    }


def sweep(runs: Mapping[float, str]) -> pd.DataFrame:
    """A classifier in the loss: with its weight the label error falls, at a cost. `runs` are its generators' names."""
    step = np.arange(len(runs))
    return pd.DataFrame(
        {
            "task_weight": sorted(runs),
            "run": [runs[weight] for weight in sorted(runs)],
            "judge_error": 0.02 / 5**step,
            "critic_error": 0.03 / 30**step,
            "exact_nll": 120 + 1.5 * step,
            "exact_nll_validation": 119 + 1.5 * step,
            "cas": 0.9 + 0.03 * step,
        }
    )


def ablation() -> pd.DataFrame:
    """A network, and the same with something taken away."""
    nll, titles = [130.0, 133.0], ["whole, learning rate 0.002", "without skip connections"]
    elbo = [-134.0, -139.0]
    kinds = {"variant": ["whole", "skip"], "learning_rate": 0.002, "parameters": 1000}
    return pd.DataFrame({"title": titles, **kinds, "validation_exact_nll": nll, "validation_elbo": elbo})


def baselines(size: int) -> pd.DataFrame:
    """Models with an exact log p(x): a mixture that is the best of them, and decoders."""
    titles = [f"mixture of {size:,}", *(f"decoder, {d}-D" for d in (1, 2, 3)), "decoder on the torus"]
    keys = [f"mixture_{size}", *(f"decoder_{d}d" for d in (1, 2, 3)), "qlvm"]
    nll = np.array([120.0, 147.0, 128.0, 123.0, 139.0])
    return pd.DataFrame(
        {"title": titles, "key": keys, "weights": 1000, "test_exact_nll": nll, "train_exact_nll": nll - 3, "error": 0.0}
    )


def compared(vaes: Sequence[str]) -> pd.DataFrame:
    """Samples of a VAE-GAN, of VAEs that are the nearer to real images the later they come, and training images.

    The first VAE is one of grey pixels, which has no log p(x).
    """
    step = np.arange(len(vaes))
    return pd.DataFrame(
        {
            "model": ["vaegan", *vaes, "training images"],
            "frechet_distance": [220.0, *(250 / (1 + step)), 1.0],
            "precision": [0.5, *(0.9 + 0 * step), 0.95],
            "recall": [0.003, *(0.0 * step), 0.86],
            "sharpness": [0.04, *(0.01 + 0.002 * step), 0.05],
            "exact_nll": [np.nan, np.nan, *(136.0 - 6 * step)[1:], np.nan],
        }
    )


def write(folder: Path, of: Records | None = None) -> Path:
    """The scale as a folder of results; `of` are other records than `records()`."""
    of = of or records()
    for name in of:
        (folder / name).mkdir(parents=True)
    (folder / "summary.json").write_text(json.dumps(of))
    history = pd.DataFrame(
        {
            "phase": ["training"] * 3 + ["encoder"] * 2,
            "epoch": [1, 2, 3, 1, 2],
            "train_elbo": [-155.0, -142.0, -136.0, -148.0, -142.0],
            "validation_elbo": [-150.0, -140.0, -138.0, -147.0, -144.0],
        }
    )
    for name in (name for name in of if name.startswith("vae/")):
        save_file(arrays(), folder / name / "arrays.safetensors")
        history.to_csv(folder / name / "history.csv", index=False)
    for name, run in of.items():
        if name.startswith("ablation/"):
            ablation().to_csv(folder / name / "ablation.csv", index=False)
        if name.startswith("baselines/"):
            baselines(max(run["config"]["components"])).to_csv(folder / name / "baselines.csv", index=False)
        if name.startswith("task/") and "generator_runs" in run["config"]:
            names = [path.split("/")[-1] for path in run["config"]["generator_runs"]]
            by_weight = {of[f"synthesis/{name}"]["config"]["task_weight"]: name for name in names}
            sweep(by_weight).to_csv(folder / name / "sweep.csv", index=False)
        if name.startswith(("augmentation/", "synthesis/")):
            table, correct = accuracies(run)
            table.to_csv(folder / name / "accuracies.csv", index=False)
            save_file(correct, folder / name / "arrays.safetensors")
        if name.startswith("vaegan/"):
            vaes = [path.split("/")[-1] for path in run["config"]["compared_runs"]]
            compared(vaes).to_csv(folder / name / "comparison.csv", index=False)
    return folder
