"""Images a second on one thread of the processor: vaelib's loop beside what else people would train a VAE with.

All train the same architecture on the same grey pixels (protocol B) in the same batches, for the same objective and
with Adam. They take turns of an epoch each, so that what else the machine does slows neighbours alike, and the best
turn of each counts. A second table has every architecture in each precision.

    python benchmarks/throughput.py [--quick] [--all]
"""

import argparse
import contextlib
import itertools
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial

import numpy as np
import pandas as pd
import torch
import usual
from torch import nn
from usual import BATCH, LATENT, LEARNING_RATE

from vaelib import data, device
from vaelib.files import PROJECT_ROOT
from vaelib.models.classifier import Classifier
from vaelib.models.networks import ARCHITECTURES, WITHOUT
from vaelib.models.vae import VAE
from vaelib.training import loop
from vaelib.training.classification import ClassifierLoss
from vaelib.training.elbo import VAELoss
from vaelib.training.loss import Loss
from vaelib.training.marginal import MarginalLoss

HEADLINE, OTHERS = "aevb", ["mlp", "resmlp"]
REQUIRED = {"DataLoader": 4, "Pythae": 2}  # how many times as fast vaelib is asked to be there
PYTHAE = PROJECT_ROOT / ".bench"  # where `make bench` installs it
LARGE = 2048  # rows and columns of products that run at the machine's full rate
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}

Contestants = dict[tuple[str, str], Callable[[], float]]  # by name and precision: a turn, which returns images a second


def best_of_turns(contestants: Contestants, turns: int, what: str) -> pd.Series:
    """The most images a second that each came to in any turn."""
    rates = []
    for turn in range(turns):
        print(f"  {what}: turn {turn + 1} of {turns}", flush=True)
        rates.append([contestant() for contestant in contestants.values()])
    return pd.Series(np.max(rates, axis=0), pd.MultiIndex.from_tuples(contestants, names=["loop", "precision"]))


def vaelib_loop(make_loss: Callable[[], Loss], images: data.Images, precision: str) -> float:
    """Images a second of an epoch of `vaelib.training.loop.train`."""
    torch.manual_seed(0)
    settings = loop.Settings(epochs=1, batch_size=BATCH, learning_rate=LEARNING_RATE, precision=precision)
    with contextlib.redirect_stdout(None):  # it says how far it is
        epoch = next(loop.train(make_loss(), images, None, settings))
    return len(images.labels) / epoch["seconds"]


def vae_loss(architecture: str, protocol: str) -> Loss:
    """The loss of a new VAE."""
    return VAELoss(VAE(architecture, LATENT), protocol=protocol)


def product_flops(model: VAE) -> int:
    """Floating-point operations for an image of the products in a step, where all of them are in linear layers.

    A layer of m inputs and n outputs takes 2 m n forward, as many for its weights' gradient and as many for that of
    its inputs, which nobody needs of the pixels.
    """
    layers = [layer for layer in model.modules() if isinstance(layer, nn.Linear)]
    forward = [2 * layer.in_features * layer.out_features for layer in layers]
    return 3 * sum(forward) - forward[0]


def products_alone(flops: int, precision: str) -> float:
    """Images a second if a step were nothing but its products, and those as fast as large ones."""
    a, b = torch.randn(2, LARGE, LARGE, dtype=DTYPES[precision])
    started = time.perf_counter()
    a @ b
    return 2 * LARGE**3 / (time.perf_counter() - started) / flops


def start_pythae(count: int) -> subprocess.Popen | None:
    """The worker, once it has loaded what it needs; None where Pythae is not installed."""
    if not PYTHAE.exists():
        return None
    environment = os.environ | {"PYTHONPATH": str(PYTHAE), "TQDM_DISABLE": "1", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(PROJECT_ROOT / "benchmarks" / "pythae_worker.py"), str(count)]
    worker = subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    return worker if worker.stdout.readline() == "ready\n" else None


def pythae_loop(worker: subprocess.Popen, architecture: str) -> float:
    """Images a second of an epoch of Pythae's trainer."""
    print(architecture, file=worker.stdin, flush=True)
    return float(worker.stdout.readline())


def compare(
    architecture: str, images: data.Images, worker: subprocess.Popen | None, precisions: list[str], turns: int
) -> pd.DataFrame:
    """Each loop's images a second, how many times that vaelib's are, and the part of the limit that products set."""
    loss = partial(vae_loss, architecture, "B")
    flops = product_flops(loss().model)
    loader = partial(usual.data_loader, architecture, images)
    contestants: Contestants = {("vaelib", how): partial(vaelib_loop, loss, images, how) for how in precisions}
    contestants["DataLoader", "float32"] = partial(loader, workers=0)
    contestants["DataLoader, 2 workers", "float32"] = partial(loader, workers=2)
    contestants["preloaded tensors", "float32"] = partial(usual.preloaded, architecture, images)
    if worker:
        contestants["Pythae", "float32"] = partial(pythae_loop, worker, architecture)
    contestants |= {("products alone", how): partial(products_alone, flops, how) for how in precisions}
    best = best_of_turns(contestants, turns, architecture)
    ratios = {f"vaelib {how} / row": best["vaelib", how] / best for how in precisions}
    return pd.DataFrame({"images/s": best, **ratios, "of products alone": best.div(best["products alone"], level=1)})


def show(table: pd.DataFrame, architecture: str) -> None:
    """Print a comparison, and for the headline whether vaelib is as many times as fast as is asked for."""
    description = ARCHITECTURES[architecture].description.split(" [@")[0]
    print(f"\n{architecture}: {description}; batch {BATCH}, {LATENT} latents, protocol B")
    formats = {"images/s": "{:,.0f}".format, "of products alone": "{:.0%}".format}
    print(table.to_string(float_format="{:.2f}".format, formatters=formats))
    for other in [name for name in REQUIRED if architecture == HEADLINE and name in table.index]:
        ratios = table.filter(like=" / row").loc[(other, "float32")]
        found = ", ".join(f"{ratio:.1f} in {name.split()[1]}" for name, ratio in ratios.items())
        print(f"vaelib is to be {REQUIRED[other]} times as fast as {other}; it is {found}")


def compare_precisions(images: data.Images, precisions: list[str], turns: int) -> pd.DataFrame:
    """vaelib's images a second for every architecture, for log p(x) as objective and for the classifier."""
    losses = {name: partial(vae_loss, name, "A") for name in ARCHITECTURES if WITHOUT not in name}
    losses[f"{HEADLINE}, log p(x)"] = lambda: MarginalLoss(VAE(HEADLINE, LATENT), "A")
    losses["classifier"] = lambda: ClassifierLoss(Classifier(), affine=True)
    ways = itertools.product(losses, precisions)
    contestants = {(name, how): partial(vaelib_loop, losses[name], images, how) for name, how in ways}
    table = best_of_turns(contestants, turns, "precisions").unstack(sort=False)
    return table.assign(gain=table[precisions[-1]] / table["float32"])


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a few seconds, rough numbers")
    parser.add_argument("--all", action="store_true", help=f"compare {', '.join(OTHERS)}, too")
    options = parser.parse_args()
    torch.set_num_threads(1)
    processor = torch.device("cpu")
    precisions = list(dict.fromkeys(["float32", device.resolve_precision("auto", processor)]))
    machine = f"{platform.system()} {platform.machine()}, {device.vendor_name(processor)}, 1 thread"
    print(f"{machine}, torch {torch.__version__}, load average {os.getloadavg()[0]:.1f} before")
    count, turns = (500, 2) if options.quick else (10_000, 10)
    images = data.load().take(count)
    worker = start_pythae(count)
    if not worker:
        print(f"Pythae is not installed in {PYTHAE.name} (`make bench` tries to): there is no row of it")
    for architecture in [HEADLINE, *(OTHERS if options.all else [])]:
        show(compare(architecture, images, worker, precisions, turns), architecture)
    if worker:
        worker.communicate()  # ends it
    table = compare_precisions(images.take(count // 2), precisions, max(2, turns // 2))
    print(f"\nvaelib's loop by precision, images/s; batch {BATCH}, {LATENT} latents, protocol A")
    print(table.to_string(float_format="{:,.0f}".format, formatters={"gain": "{:.2f}".format}))


if __name__ == "__main__":
    main()
