"""Training throughput: vaelib's loop beside the usual PyTorch one, and each architecture in each precision.

Both loops train the same 784-400-20 VAE on grey pixels (protocol B) with the same objective and Adam at 1e-3. They
take many short turns, and each turn gives a ratio: what else the machine does slows the neighbours in it alike.

    OMP_NUM_THREADS=1 python benchmarks/throughput.py [--quick]
"""

import argparse
import platform
import time
from collections.abc import Callable
from functools import partial

import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, Subset
from torchvision.datasets import MNIST
from torchvision.transforms import ToTensor

from vaelib import data, device
from vaelib.files import PROJECT_ROOT
from vaelib.models import networks
from vaelib.models.vae import VAE
from vaelib.training import loop
from vaelib.training.elbo import VAELoss
from vaelib.training.objectives import elbo, kl_divergence

BATCH, LATENT, LEARNING_RATE = 128, 20, 1e-3  # of the VAE among PyTorch's own examples
REQUIRED = 3  # times as many images a second as the usual loop


def usual_step(model: VAE, x: Tensor, rng: torch.Generator) -> Tensor:
    """Minus the ELBO summed over a batch as PyTorch's example writes it: cross-entropy of the decoder's sigmoids."""
    posterior = model.posterior(x)
    decoded = model.images(posterior.sample(1, rng)[0])
    return F.binary_cross_entropy(decoded, x, reduction="sum") + kl_divergence(posterior).sum()


def usual_loop(count: int, target: torch.device, step: Callable, fused: bool | None = None, workers: int = 0) -> float:
    """Images a second from `torchvision.datasets.MNIST` through `ToTensor` and a `DataLoader`."""
    torch.manual_seed(0)
    model = VAE("usual", LATENT).to(target)
    optimiser = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE, fused=fused)
    rng = torch.Generator(target).manual_seed(0)
    images = Subset(MNIST(PROJECT_ROOT / "data", transform=ToTensor()), range(count))
    batches = iter(DataLoader(images, BATCH, shuffle=True, num_workers=workers))  # starts the workers
    started, total = time.perf_counter(), 0.0
    for pixels, _ in batches:
        optimiser.zero_grad()
        loss = step(model, pixels.to(target).flatten(1), rng)
        (loss / len(pixels)).backward()
        total += loss.item()
        optimiser.step()
    return count / (time.perf_counter() - started)


def vaelib_loop(
    images: data.Images, name: str, latent: int, batch: int, protocol: str, precision: str = "float32"
) -> float:
    """Images a second of an epoch of `vaelib.training.loop.train`."""
    torch.manual_seed(0)
    model = VAE(name, latent).to(images.images.device)
    settings = loop.Settings(epochs=1, batch_size=batch, learning_rate=LEARNING_RATE, precision=precision)
    epochs = loop.train(VAELoss(model, protocol=protocol), images, images.take(1), settings)
    return len(images.labels) / next(epochs)["seconds"]


def take_turns(loops: dict[str, Callable[[], float]], turns: int) -> pd.DataFrame:
    """[turns, loops] images a second; a turn before the first warms everything up and is not kept."""
    return pd.DataFrame([{name: loop() for name, loop in loops.items()} for _ in range(turns + 1)][1:])


def compare_loops(images: data.Images, turns: int) -> pd.DataFrame:
    """vaelib's loop against three forms of the usual one: medians over the turns, and the quartiles of the ratio."""
    usual = partial(usual_loop, len(images.labels), images.images.device)
    loops = {
        "vaelib": partial(vaelib_loop, images, "usual", LATENT, BATCH, "B"),
        "DataLoader, PyTorch example's step": partial(usual, usual_step),
        "the same with 2 workers": partial(usual, usual_step, workers=2),
        "DataLoader, vaelib's step": partial(usual, lambda *batch: -elbo(*batch).objective.sum(), fused=True),
    }
    rates = take_turns(loops, turns)
    low, ratio, high = (rates.rdiv(rates["vaelib"], axis=0).quantile(q) for q in (0.25, 0.5, 0.75))
    return pd.DataFrame({"images/s": rates.median().round(), "ratio": ratio, "from": low, "to": high})


def compare_architectures(images: data.Images, names: list[str], turns: int) -> pd.DataFrame:
    """Images a second of every architecture in float32, and in the precision that "auto" takes here."""
    precisions = dict.fromkeys(["float32", device.resolve_precision("auto", images.images.device)])
    rows = {}
    for name in names:
        loops = {how: partial(vaelib_loop, images, name, 2, 250, "A", how) for how in precisions}
        rows[name] = take_turns(loops, turns).median()
    return pd.DataFrame(rows).T


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a few seconds, rough numbers")
    quick = parser.parse_args().quick
    target = device.resolve()
    images = data.load().to(target)
    names = list(networks.ARCHITECTURES)
    networks.ARCHITECTURES["usual"] = networks._perceptron([400], nn.ReLU, "the VAE of PyTorch's examples")
    machine = f"{platform.system()} {platform.machine()}, {device.vendor_name(target)}"
    print(f"{machine}, {torch.get_num_threads()} threads, torch {torch.__version__}\n")
    loops = compare_loops(images.take(1_500 if quick else 4_000), 2 if quick else 15)
    print("A 784-400-20 VAE, batch 128, float32, protocol B; ratio: vaelib's images/s to the row's")
    print(loops.to_string(float_format="{:,.2f}".format, formatters={"images/s": "{:,.0f}".format}))
    print(f"{loops.ratio.iloc[1]:.1f} times as fast as the usual loop; required are {REQUIRED}\n")
    print("Every architecture, batch 250, 2 latents, protocol A: images/s")
    architectures = compare_architectures(images.take(500 if quick else 4_000), names, 1 if quick else 3)
    print(architectures.to_string(float_format="{:,.0f}".format))


if __name__ == "__main__":
    main()
