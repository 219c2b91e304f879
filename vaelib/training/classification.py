"""The loss of a digit classifier: the cross-entropy of its labels."""

from dataclasses import dataclass

import torch.nn.functional as F

from vaelib import data
from vaelib.models.classifier import random_affine
from vaelib.training.loss import Loss


@dataclass(eq=False)
class ClassifierLoss(Loss):
    """Cross-entropy and accuracy, in training on images moved by random affine maps where `affine` says so."""

    affine: bool = False

    def __call__(self, batch, rng, epochs_done=0.0, training=True):
        """-log c(y | x), and whether the most probable digit is y."""
        x = data.grey(batch.images)
        if self.affine and training:
            x = random_affine(x, rng)
        logits = self.model(x)
        correct = logits.argmax(-1) == batch.labels
        return {"loss": F.cross_entropy(logits, batch.labels, reduction="none"), "accuracy": correct.float()}
