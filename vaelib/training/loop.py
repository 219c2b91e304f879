"""One training loop, which yields an epoch's metrics at a time: for notebook, batch run and test alike."""

import itertools
import math
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from vaelib import data, device
from vaelib.files import UserError
from vaelib.progress import say, told
from vaelib.training.checkpoints import Checkpoint, identity
from vaelib.training.loss import Loss

WARMUP_STEPS = 200  # optimiser steps over which the learning rate rises to its full value
BETAS = (0.9, 0.99)  # of Adam: with 0.99 instead of 0.999 validation ELBOs came out 1 nat higher and closer together
PREPARED_STEPS = 4  # steps that share what a loss has prepared
LARGEST_GRADIENT = 100.0  # longer gradients are scaled down to this norm: one rare batch must not undo an epoch


class TrainingError(UserError):
    """The training cannot go on; the message says what to change."""


@dataclass(frozen=True)
class Settings:
    """How long a training lasts and how it steps."""

    epochs: int
    batch_size: int = 250  # images in a step
    learning_rate: float = 1e-3  # of Adam, at its highest
    betas: tuple[float, float] = BETAS
    seed: int = 0  # of the order of the images and of every draw
    precision: str = "float32"  # of products in the step: what `device.resolve_precision` returns
    epoch_images: int = 0  # images in an epoch; 0 is one pass over all


def train(
    loss: Loss,
    training: data.Images,
    validation: data.Images | None,
    settings: Settings,
    checkpoint: Path | None = None,
) -> Iterator[dict[str, float]]:
    """Train with Adam, clipped gradients and a cosine schedule; yield each epoch's metrics; end with the best weights.

    Metrics are `train_*` (running means over the epoch) and `validation_*` of every term of the loss, on the same
    scale. The best epoch is that of the lowest validation loss; without validation images it is the last one. Raises
    `TrainingError` when a loss is no finite number any more.

    With a `checkpoint` path the whole state is kept there after each epoch. An interrupted training of the same
    identity (see `checkpoints.identity`) goes on from it to the same numbers, and of a finished one nothing is done
    again: epochs already done are yielded from the record.

    An epoch is one pass over the training images, or with `epoch_images` as many passes as show that many images (the
    last of them cut short), so that trainings on sets of different size can have equal numbers of updates.
    """
    target, model = training.images.device, loss.model
    known_as = identity(loss, settings, training, validation) if checkpoint else ""
    rng = torch.Generator(target).manual_seed(settings.seed)
    groups = [[p for p in network.parameters() if p.requires_grad] for network in loss.networks()]
    everything = itertools.chain(*groups)
    optimiser = torch.optim.Adam(everything, lr=settings.learning_rate, betas=settings.betas, fused=True)
    epoch_images = settings.epoch_images or len(training.labels)
    steps = math.ceil(epoch_images / settings.batch_size)
    state = Checkpoint(model, optimiser, rng, checkpoint, known_as)
    state.restore()
    if state.history:
        known = f"{len(state.history)} of {settings.epochs} epochs"
        say(f"  {known} were trained before, as {checkpoint.name}")
    yield from state.history

    for epoch in range(len(state.history), settings.epochs):
        started = time.perf_counter()
        totals: dict[str, Tensor] = {}
        model.train()
        passes = math.ceil(epoch_images / len(training.labels))
        order = [torch.randperm(len(training.labels), generator=rng, device=target) for _ in range(passes)]
        batches = torch.cat(order)[:epoch_images].split(settings.batch_size)
        for i, index in enumerate(told(batches, "training")):
            step = epoch * steps + i
            for group in optimiser.param_groups:
                group["lr"] = settings.learning_rate * _schedule(step, settings.epochs * steps)
            batch = data.Images(training.images.index_select(0, index), training.labels.index_select(0, index))
            optimiser.zero_grad()
            with device.training_step(settings.precision, target):
                with device.autocast(settings.precision, target):
                    if i % PREPARED_STEPS == 0:
                        loss.prepare(rng)
                    terms = loss(batch, rng, step / steps)
                terms["loss"].mean().backward()
            for parameters in groups:
                _clip(parameters)
            optimiser.step()
            for name, values in terms.items():
                totals[name] = totals.get(name, 0.0) + values.detach().double().sum()
        model.eval()
        metrics = {
            "epoch": epoch + 1,
            **{f"train_{name}": (total / epoch_images).item() for name, total in totals.items()},
        }
        if validation is not None:
            metrics |= {f"validation_{name}": value for name, value in evaluate(loss, validation).items()}
        for name in ("train_loss", "validation_loss"):
            if not math.isfinite(metrics.get(name, 0.0)):
                raise TrainingError(f"{name} became {metrics[name]} in epoch {epoch + 1}: take a smaller learning_rate")
        metrics["seconds"] = time.perf_counter() - started
        state.record(metrics, last=epoch + 1 == settings.epochs)
        yield metrics
    state.finish()


def evaluate(loss: Loss, images: data.Images, seed: int = 0, batch_size: int = 1000) -> dict[str, float]:
    """Means over `images` of a loss's terms in float32, each image weighted alike, with noise fixed by `seed`."""
    rng = torch.Generator(images.images.device).manual_seed(seed)
    totals: dict[str, float] = {}
    with torch.no_grad():
        loss.prepare(rng)
        for batch in zip(images.images.split(batch_size), images.labels.split(batch_size), strict=True):
            for name, values in loss(data.Images(*batch), rng, training=False).items():
                totals[name] = totals.get(name, 0.0) + values.double().sum().item()
    return {name: total / len(images.labels) for name, total in totals.items()}


def progress(epochs: Iterable[dict[str, float]], total: int, phase: str) -> Iterator[dict[str, float]]:
    """Print a line an epoch on the way: what was learnt, how long it took, what is left of the phase."""
    for metrics in epochs:
        left = (total - metrics["epoch"]) * metrics["seconds"]
        losses = f"loss {metrics['train_loss']:.4g}"
        if "validation_loss" in metrics:
            losses += f", validation {metrics['validation_loss']:.4g}"
        say(f"epoch {metrics['epoch']}/{total} of {phase}: {losses}; {metrics['seconds']:.1f} s, {left:.0f} s left")
        yield metrics


def _clip(parameters: list[nn.Parameter]) -> None:
    """Scale the gradients down to the largest norm allowed; most are shorter, and cost no second pass."""
    norm = nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None])
    if norm > LARGEST_GRADIENT:
        nn.utils.clip_grads_with_norm_(parameters, LARGEST_GRADIENT, norm)


def _schedule(step: int, steps: int) -> float:
    """A linear warm-up (of at most a tenth of the steps), under half a cosine down to 0."""
    warmup = max(1, min(WARMUP_STEPS, steps // 10))
    return min(1.0, (step + 1) / warmup) * 0.5 * (1 + math.cos(math.pi * step / steps))
