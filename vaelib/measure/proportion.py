"""Models side by side that have an exact log p(x) of their own: on test images, and on some of the training."""

import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

Values = Float[Tensor, " images"]


class Compared:
    """Collects models that were all measured on the same images: first `tests` test images, then training images."""

    def __init__(self, tests: int):
        self.tests = tests
        self.rows: list[dict[str, str | int | float]] = []

    def add(self, key: str, title: str, weights: int, log_px: Values, error: Values | None = None) -> None:
        """A model by its `key` in the record and its title in the figure, with log p(x) in nats, image by image.

        `weights` is how many numbers were learnt; without an `error` log p(x) is a sum and has none.
        """
        nll, error = -log_px.double(), torch.zeros_like(log_px) if error is None else error
        self.rows.append(
            {
                "key": key,
                "title": title,
                "weights": weights,
                "test_exact_nll": nll[: self.tests].mean().item(),
                "error": error.double().mean().item(),
                "train_exact_nll": nll[self.tests :].mean().item(),
            }
        )

    @property
    def table(self) -> pd.DataFrame:
        """A row a model, by its title."""
        return pd.DataFrame(self.rows).set_index("title")

    @property
    def numbers(self) -> dict[str, float]:
        """The same for a record: `<key>_nll`, `<key>_nll_train` and `<key>_nll_error`."""
        columns = {"nll": "test_exact_nll", "nll_train": "train_exact_nll", "nll_error": "error"}
        return {f"{row['key']}_{name}": row[column] for row in self.rows for name, column in columns.items()}
