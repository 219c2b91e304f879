"""Training throughput: vaelib's loop beside the usual PyTorch one, and each architecture in each precision.

Both loops train the same 784-400-20 VAE on grey pixels (protocol B) with the same objective and Adam at 1e-3. They
take turns, and what is compared are the two neighbours of each turn: other work on the machine slows both alike.

    OMP_NUM_THREADS=1 python benchmarks/throughput.py [--quick]
"""

import argparse
import platform
import statistics
import time
from collections.abc import Callable, Iterable
from functools import partial

import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, Subset
from torchvision.datasets import MNIST
from torchvision.transforms import ToTensor

from vaelib import data, networks, training
from vaelib.objectives import elbo, kl_divergence
from vaelib.runs import PROJECT_ROOT
from vaelib.vae import VAE

BATCH = 128
LEARNING_RATE = 1e-3
LATENT = 20
USUAL = networks._perceptron([400], nn.ReLU, "the VAE of the PyTorch examples")
REQUIRED = 3.0  # times as many images a second as the usual loop

Step = Callable[[VAE, Tensor, torch.Generator], Tensor]


def usual_step(model: VAE, x: Tensor, generator: torch.Generator) -> Tensor:
    """Minus the ELBO summed over a batch, as PyTorch's example writes it: cross-entropy of the decoder's sigmoids."""
    posterior = model.posterior(x)
    decoded = model.images(posterior.sample(1, generator)[0])
    return F.binary_cross_entropy(decoded, x, reduction="sum") + kl_divergence(posterior).sum()


def vaelib_step(model: VAE, x: Tensor, generator: torch.Generator) -> Tensor:
    """The same from vaelib's objective."""
    return -elbo(model, x, generator).objective.sum()


def usual_loop(count: int, device: torch.device, step: Step, fused: bool | None = None, workers: int = 0) -> float:
    """Images a second from `torchvision.datasets.MNIST` through `ToTensor` and a `DataLoader`."""
    torch.manual_seed(0)
    model = VAE("usual", LATENT).to(device)
    optimiser = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE, fused=fused)
    generator = torch.Generator(device).manual_seed(0)
    images = Subset(MNIST(PROJECT_ROOT / "data", transform=ToTensor()), range(count))
    batches = iter(DataLoader(images, BATCH, shuffle=True, num_workers=workers))  # starts the workers
    started, total = time.perf_counter(), 0.0
    for pixels, _ in batches:
        optimiser.zero_grad()
        loss = step(model, pixels.to(device).flatten(1), generator)
        (loss / len(pixels)).backward()
        total += loss.item()
        optimiser.step()
    return count / (time.perf_counter() - started)


def vaelib_loop(
    images: data.Images, name: str, latent: int, batch: int, protocol: str, precision: torch.dtype = torch.float32
) -> float:
    """Images a second of an epoch of `vaelib.training.train`."""
    torch.manual_seed(0)
    model = VAE(name, latent).to(images.images.device)
    loss = training.vae_loss(model, protocol=protocol)
    epochs = training.train(
        model,
        loss,
        images,
        images.take(1),
        epochs=1,
        batch_size=batch,
        learning_rate=LEARNING_RATE,
        precision=precision,
    )
    return len(images.labels) / next(iter(epochs))["seconds"]


def take_turns(loops: dict[str, Callable[[], float]], repeats: int) -> pd.DataFrame:
    """[repeats, loops] images a second; a round before the first, which is not kept, warms everything up."""
    rounds = [{name: loop() for name, loop in loops.items()} for _ in range(repeats + 1)]
    return pd.DataFrame(rounds[1:])


def compare_loops(images: data.Images, repeats: int) -> pd.DataFrame:
    """vaelib's loop against three forms of the usual one; `ratio` is the median over the turns."""
    usual = partial(usual_loop, len(images.labels), images.images.device)
    rates = take_turns(
        {
            "vaelib": partial(vaelib_loop, images, "usual", LATENT, BATCH, "B"),
            "DataLoader, PyTorch example's step": partial(usual, usual_step),
            "the same with 2 workers": partial(usual, usual_step, workers=2),
            "DataLoader, vaelib's step": partial(usual, vaelib_step, fused=True),
        },
        repeats,
    )
    ratios = rates.rdiv(rates["vaelib"], axis=0)
    columns = {"images/s": rates.median(), "ratio": ratios.median(), "lowest": ratios.min(), "highest": ratios.max()}
    return pd.DataFrame(columns)


def compare_architectures(images: data.Images, names: Iterable[str], repeats: int) -> pd.DataFrame:
    """Images a second of every architecture at batch 250, with the precisions that the hardware multiplies."""
    dtypes = {torch.float32, training.resolve_precision("auto", images.images.device)}
    rows = {}
    for name in names:
        turns = {
            str(t): partial(vaelib_loop, images, name, 2, 250, "A", t) for t in sorted(dtypes, key=str, reverse=True)
        }
        rows[name] = take_turns(turns, repeats).median()
    return pd.DataFrame(rows).T


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a few seconds, rough numbers")
    quick = parser.parse_args().quick
    device = training.resolve_device()
    images = data.load().to(device)
    names = list(networks.ARCHITECTURES)
    networks.ARCHITECTURES["usual"] = USUAL
    capability = torch.backends.cpu.get_cpu_capability()
    print(f"{platform.system()} {platform.machine()}, {capability}, {device}, {torch.get_num_threads()} threads, "
          f"torch {torch.__version__}\n")  # fmt: skip
    loops = compare_loops(images.take(2_000 if quick else 15_000), 1 if quick else 5)
    print("A 784-400-20 VAE, batch 128, float32, protocol B; ratio: vaelib's images/s over the row's, turn by turn")
    print(loops.to_string(float_format="{:,.2f}".format, formatters={"images/s": "{:,.0f}".format}))
    usual = loops.ratio.iloc[1]
    print(f"vaelib is {usual:.1f} times as fast as the usual loop (required: {REQUIRED:.0f})\n")
    architectures = compare_architectures(images.take(1_000 if quick else 5_000), names, 1 if quick else 3)
    print("Every architecture, batch 250, 2 latents, protocol A: images/s")
    print(architectures.to_string(float_format="{:,.0f}".format))


if __name__ == "__main__":
    main()
