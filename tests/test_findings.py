"""The sentences of the report that depend on how the numbers came out."""

import pandas as pd
import pytest

from vaelib.report import findings


def arms(real: list[float], synthetic: list[float], further: list[float]) -> pd.DataFrame:
    """The runs of `augmentation.ipynb` at 20 %, a seed a row."""
    accuracies = {"real": real, "synthetic": synthetic, "further": further}
    columns = {f"test_accuracy_{arm}_updates": values for arm, values in accuracies.items()}
    return pd.DataFrame({"fraction": 0.2, "seed": range(len(real)), **columns})


def test_an_exchange_rate_is_told_where_further_real_images_help_for_certain():
    # Errors of 4 % with N images and 2 % with 2 N: the error halves with each doubling, and 3 % are log2(4/3) of one.
    frame = arms([0.96] * 3, [0.9699, 0.97, 0.9701], [0.98] * 3)
    text = findings._exchange(frame, 0.2)
    assert "bring 50 ± 1 % of what" in text and "is worth 0.33 ± 0.01 further" in text


@pytest.mark.parametrize(
    ("synthetic", "further"),
    [([0.97, 0.971, 0.972], [0.955, 0.98, 0.965]), ([0.95, 0.97, 0.99], [0.98, 0.981, 0.979])],
    ids=["further images may change nothing", "synthetic images may do anything"],
)
def test_no_exchange_rate_is_told_where_it_could_be_any_number(synthetic, further):
    text = findings._exchange(arms([0.96, 0.96, 0.96], synthetic, further), 0.2)
    assert text == "What that is worth in further real images cannot be said from so few seeds."


def test_the_end_of_a_learning_curve_counts_the_last_fifth_of_its_epochs():
    phases = ["model"] * 10 + ["encoder"] * 2
    history = pd.DataFrame({"phase": phases, "validation_elbo": [-150.0 + i for i in range(10)] + [-200.0, -100.0]})
    assert findings.curves(history) == {"curves": {"last": "2.00"}}


@pytest.mark.parametrize(
    ("best", "second", "told"),
    [([129.0], [128.5, 129.5, 130.5], True), ([120.0], [128.5, 129.5, 130.5], False), ([129.0], [129.1], False)],
    ids=["a lead within the interval", "a lead beyond it", "no interval to judge it by"],
)
def test_a_lead_smaller_than_the_interval_over_seeds_is_called_uncertain(best, second, told):
    vaes = pd.DataFrame({"model": ["a"] * len(best) + ["b"] * len(second), "exact_nll": best + second})
    assert ("not for certain" in findings._caution(vaes, "a", "b")) == told
