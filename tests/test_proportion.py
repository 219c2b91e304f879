"""Models side by side: means over the test images and over those of the training, apart, and by name."""

import pytest
import torch

from vaelib.measure.proportion import Compared


def test_test_and_training_images_are_apart_and_a_sum_has_no_error():
    compared = Compared(tests=2)
    compared.add("mixture_5", "mixture of 5", 3924, torch.tensor([-10.0, -20.0, -1.0]))
    compared.add("qlvm", "torus", 7, torch.tensor([-1.0, -2.0, -9.0]), torch.tensor([0.0, 0.3, 0.6]))
    table = compared.table
    assert list(table.index) == ["mixture of 5", "torus"] and table.weights.tolist() == [3924, 7]
    assert table.test_exact_nll.tolist() == [15.0, 1.5] and table.train_exact_nll.tolist() == [1.0, 9.0]
    assert compared.numbers == pytest.approx(
        {"mixture_5_nll": 15.0, "mixture_5_nll_train": 1.0, "mixture_5_nll_error": 0.0}
        | {"qlvm_nll": 1.5, "qlvm_nll_train": 9.0, "qlvm_nll_error": 0.3}
    )
