"""One training loop, a generator: an epoch's metrics at a time, for notebook, batch run and test alike."""

import contextlib
import json
import math
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

import torch
from jaxtyping import Float
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from vaelib import data
from vaelib.objectives import OBJECTIVES
from vaelib.runs import UserError, atomic, code_digest
from vaelib.vae import VAE

WARMUP_STEPS = 200  # optimiser steps over which the learning rate rises to its full value
BETAS = (0.9, 0.99)  # of Adam: with 0.99 instead of 0.999 validation ELBOs came out 1 nat higher and closer together
LARGEST_GRADIENT = 100.0  # longer gradients are scaled down to this norm: one rare batch must not undo an epoch

# A loss takes a batch, a generator and the epochs done so far (a fraction within an epoch, infinity for
# validation), and returns per-example tensors; "loss" is minimised, the rest is reported beside it.
Loss = Callable[[data.Images, torch.Generator, float], dict[str, Float[Tensor, " batch"]]]


class TrainingError(UserError):
    """The training cannot go on; the message says what to change."""


def resolve_device(name: str = "auto") -> torch.device:
    """The device called `name`; "auto" is the machine's accelerator where it has one, else the processor.

    Apple's "mps" counts as none: it lacks float64, in which sums over images are taken.
    """
    if name != "auto":
        return torch.device(name)
    accelerator = torch.accelerator.current_accelerator(check_available=True)
    return accelerator if accelerator and accelerator.type != "mps" else torch.device("cpu")


def resolve_precision(name: str, device: torch.device) -> torch.dtype:
    """The dtype of the matrix products; "auto" is bfloat16 on hardware that multiplies it natively.

    `make bench` measures what that gains, and the report what it costs.
    """
    if name != "auto":
        return getattr(torch, name)
    if device.type == "cpu":
        native = torch.cpu.get_capabilities().get("amx_bf16", False)
    else:
        native = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.bfloat16 if native else torch.float32


def vae_loss(
    model: VAE,
    objective: str = "elbo",
    protocol: str = "A",
    samples: int = 1,
    kl_warmup_epochs: float = 0,
    beta: float = 1.0,
) -> Loss:
    """The loss of a VAE: minus its objective, on pixels sampled afresh (protocol A) or grey (B and C).

    A conditional VAE is given the labels of its images. `beta` is the weight of the KL after its warm-up (Higgins et
    al. 2017); anything but 1 is no bound on log p(x).
    """

    def loss(batch: data.Images, generator: torch.Generator, epochs_done: float):
        x = data.training_pixels(batch.images, protocol, generator)
        kl_weight = beta * (min(1.0, epochs_done / kl_warmup_epochs) if kl_warmup_epochs else 1.0)
        terms = OBJECTIVES[objective](model.given(batch.labels), x, generator, samples=samples, kl_weight=kl_weight)
        return {
            "loss": -terms.objective,
            "elbo": terms.elbo,
            "reconstruction": terms.reconstruction,
            "kl": terms.kl,
        }

    return loss


def evaluate(loss: Loss, images: data.Images, seed: int = 0, batch_size: int = 1000) -> dict[str, float]:
    """Means over `images` of a loss's terms, each image weighted alike, with noise fixed by `seed`."""
    generator = torch.Generator(images.images.device).manual_seed(seed)
    totals: dict[str, float] = {}
    with torch.no_grad():
        for batch in zip(images.images.split(batch_size), images.labels.split(batch_size), strict=True):
            for name, values in loss(data.Images(*batch), generator, math.inf).items():
                totals[name] = totals.get(name, 0.0) + values.double().sum().item()
    return {name: total / len(images.labels) for name, total in totals.items()}


def train(
    model: nn.Module,
    loss: Loss,
    training: data.Images,
    validation: data.Images | None,
    *,
    epochs: int,
    epoch_images: int = 0,
    batch_size: int = 250,
    learning_rate: float = 1e-3,
    betas: tuple[float, float] = BETAS,
    seed: int = 0,
    precision: torch.dtype = torch.float32,
    checkpoint: Path | None = None,
    configuration: str = "",
) -> Iterator[dict[str, float]]:
    """Train with Adam, clipped gradients and a cosine schedule; yield each epoch's metrics; end with the best weights.

    Metrics are `train_*` (running means over the epoch) and `validation_*` of every term of `loss`, on the same
    scale. The best epoch is that of the lowest validation loss; without validation images it is the last one. With a
    `checkpoint` path the whole state is kept there after each epoch, and an interrupted run of the same
    `configuration` goes on from it to the same numbers, unless the package's code has changed in between; epochs
    already done are yielded again from the record. Raises `TrainingError` when the loss is no finite number any more.

    An epoch is one pass over the training images, or with `epoch_images` as many passes as show that many images (the
    last of them cut short), so that trainings on sets of different size can have equal numbers of updates.
    """
    device = training.images.device
    cast = partial(torch.autocast, device.type, precision, enabled=precision != torch.float32)
    generator = torch.Generator(device).manual_seed(seed)
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimiser = torch.optim.Adam(parameters, lr=learning_rate, betas=betas, fused=True)
    epoch_images = epoch_images or len(training.labels)
    steps_an_epoch = math.ceil(epoch_images / batch_size)
    state = _State(model, optimiser, generator, checkpoint, json.dumps([configuration, epochs, seed, code_digest()]))
    state.restore()
    yield from state.history

    for epoch in range(len(state.history), epochs):
        started = time.perf_counter()
        totals: dict[str, Tensor] = {}
        model.train()
        passes = math.ceil(epoch_images / len(training.labels))
        order = [torch.randperm(len(training.labels), generator=generator, device=device) for _ in range(passes)]
        for i, index in enumerate(torch.cat(order)[:epoch_images].split(batch_size)):
            step = epoch * steps_an_epoch + i
            for group in optimiser.param_groups:
                group["lr"] = learning_rate * _schedule(step, epochs * steps_an_epoch)
            batch = data.Images(training.images.index_select(0, index), training.labels.index_select(0, index))
            with cast():
                terms = loss(batch, generator, step / steps_an_epoch)
            optimiser.zero_grad()
            terms["loss"].mean().backward()
            nn.utils.clip_grad_norm_(parameters, LARGEST_GRADIENT)
            optimiser.step()
            for name, values in terms.items():
                totals[name] = totals.get(name, 0.0) + values.detach().double().sum()
        if not totals["loss"].isfinite():
            raise TrainingError(
                f"the loss became {totals['loss'].item()} in epoch {epoch + 1}: take a smaller learning_rate"
            )
        model.eval()
        metrics = {
            "epoch": epoch + 1,
            **{f"train_{name}": (total / epoch_images).item() for name, total in totals.items()},
        }
        if validation is not None:
            with cast():
                metrics |= {f"validation_{name}": value for name, value in evaluate(loss, validation).items()}
        metrics["seconds"] = time.perf_counter() - started
        state.record(metrics)
        yield metrics
    state.finish()


def progress(epochs: Iterable[dict[str, float]], total: int) -> Iterator[dict[str, float]]:
    """Print a line an epoch on the way: what was learnt, how long it took, what is left."""
    for metrics in epochs:
        left = (total - metrics["epoch"]) * metrics["seconds"]
        losses = f"loss {metrics['train_loss']:.4g}"
        if "validation_loss" in metrics:
            losses += f", validation {metrics['validation_loss']:.4g}"
        print(f"epoch {metrics['epoch']}/{total}  {losses}  {metrics['seconds']:.1f} s, {left:.0f} s left", flush=True)
        yield metrics


def _schedule(step: int, steps: int) -> float:
    """A linear warm-up (of at most a tenth of the steps), under half a cosine down to 0."""
    warmup = max(1, min(WARMUP_STEPS, steps // 10))
    return min(1.0, (step + 1) / warmup) * 0.5 * (1 + math.cos(math.pi * step / steps))


class _State:
    """Everything that an interrupted run needs to end with the same numbers as one never interrupted."""

    def __init__(self, model, optimiser, generator, path: Path | None, configuration: str):
        self.model, self.optimiser, self.generator = model, optimiser, generator
        self.path, self.configuration = path, configuration
        self.history: list[dict[str, float]] = []
        self.best: dict[str, Tensor] = {}

    def record(self, metrics: dict[str, float]) -> None:
        """Add an epoch, keep its weights if they are the best so far, and save the checkpoint."""
        self.history.append(metrics)
        if metrics.get("validation_loss", -math.inf) <= min(m.get("validation_loss", -math.inf) for m in self.history):
            self.best = {name: t.detach().clone() for name, t in self.model.state_dict().items()}
        if self.path is None:
            return
        adam = self.optimiser.state_dict()["state"]
        tensors = {
            **{f"model.{name}": t for name, t in self.model.state_dict().items()},
            **{f"best.{name}": t for name, t in self.best.items()},
            **{f"adam.{i}.{name}": t for i, entry in adam.items() for name, t in entry.items()},
            "generator": self.generator.get_state(),
        }
        metadata = {"history": json.dumps(self.history), "configuration": self.configuration}
        with atomic(self.path) as temporary:
            save_file({name: t.contiguous() for name, t in tensors.items()}, temporary, metadata)

    def restore(self) -> None:
        """Go back to the last checkpoint, if there is one of the same configuration."""
        if self.path is None or not self.path.exists():
            return
        with contextlib.suppress(SafetensorError), safe_open(self.path, "pt") as saved:
            if saved.metadata().get("configuration") != self.configuration:
                return
            tensors = {name: saved.get_tensor(name) for name in saved.keys()}  # noqa: SIM118 (not a dict)
            self.history = json.loads(saved.metadata()["history"])
            self.generator.set_state(tensors.pop("generator"))
            self.model.load_state_dict(_part(tensors, "model."))
            self.best = _part(tensors, "best.")
            adam: dict[int, dict[str, Tensor]] = {}
            for name, t in _part(tensors, "adam.").items():
                index, key = name.split(".", 1)
                adam.setdefault(int(index), {})[key] = t
            self.optimiser.load_state_dict({**self.optimiser.state_dict(), "state": adam})
            for parameter, entry in self.optimiser.state.items():
                moments = {name: t for name, t in entry.items() if t.shape == parameter.shape}
                # The fused step pairs elements by their place in memory, which `channels_last` changes.
                entry |= {name: torch.empty_like(parameter).copy_(t) for name, t in moments.items()}

    def finish(self) -> None:
        """Leave the model with the weights of its best epoch."""
        if self.best:
            self.model.load_state_dict(self.best)
        self.model.eval()


def _part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The entries below a prefix, without it."""
    return {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}
