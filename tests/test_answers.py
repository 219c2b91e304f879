"""What a run keeps of its trained classifiers is what differences read from it."""

import io

import numpy as np
import pandas as pd
import pytest
import torch

from vaelib import data
from vaelib.models.classifier import Classifier, accuracy
from vaelib.synthetic import answers, worth
from vaelib.training.loop import Settings

SETTINGS = Settings(epochs=1, batch_size=128, learning_rate=0.004, seed=3)


@pytest.fixture
def kept(mnist) -> tuple[pd.DataFrame, dict[str, np.ndarray]]:
    """Two arms with two numbers of updates each, untrained, as a table and arrays that went through files."""
    real, test = data.load("MNIST", "second_half").take(50), mnist["test"].take(200)
    accuracies = answers.Accuracies(real, {"validation": real.drop(50), "test": test})
    for place, (arm, length) in enumerate([("real", 10), ("real", 20), ("synthetic", 10), ("synthetic", 20)]):
        torch.manual_seed(place)
        model = Classifier().eval()
        for budget, updates in (("updates", length), ("epochs", length * (1 + (arm == "synthetic")))):
            row = accuracies.add(model, arm, updates, SETTINGS, budget=budget, images=50, baseline_updates=length)
            assert row["test_accuracy"] == pytest.approx(accuracy(model, test))
    metrics = accuracies.metrics(20)
    assert (
        metrics["test_accuracy_synthetic_epochs"] == row["test_accuracy"] and "test_accuracy_7_real_updates" in metrics
    )
    table = pd.read_csv(io.StringIO(accuracies.table.to_csv()))
    return table, {name: array.numpy() for name, array in accuracies.arrays.items()}


def test_a_classifier_is_read_with_all_that_a_difference_asks_for(kept):
    table, arrays = kept
    (trained,) = answers.read(table, arrays, "real")
    assert (trained.seed, trained.updates, trained.batch_size, trained.learning_rate) == (3, 20, 128, 0.004)
    assert trained.real_checksum == f"crc32:{data.checksum(data.load('MNIST', 'second_half').take(50))}"
    assert trained.correct.dtype == bool and trained.correct.mean() == pytest.approx(
        table[(table.arm == "real") & (table.updates == 20)].test_accuracy.iloc[0]
    )


def test_budgets_and_numbers_of_updates_are_kept_apart(kept):
    real, synthetic = (answers.read(*kept, arm, budget="epochs") for arm in ("real", "synthetic"))
    assert (real[0].updates, synthetic[0].updates) == (20, 40)
    with pytest.raises(ValueError, match="differ in updates: 40 and 20"):
        worth.difference(synthetic, real)
    change = worth.difference(synthetic, real, compared={"updates"})
    assert change.mean == pytest.approx(synthetic[0].correct.mean() - real[0].correct.mean())
    assert answers.read(*kept, "synthetic", baseline_updates=10)[0].updates == 10
    assert answers.read(*kept, "synthetic", baseline_updates=30) == answers.read(*kept, "affine") == []


def test_a_run_that_left_over_no_images_has_no_answers_on_them(kept):
    assert not any(name.startswith("validation") for name in kept[1])
    with pytest.raises(ValueError, match="on no validation images"):
        answers.read(*kept, "real", measured="validation")
