"""What the parameters of the two notebooks on synthetic images accept together, and what they say where they do not."""

import pytest
from pydantic import ValidationError

from vaelib.runs.schemas import AugmentationParameters, SynthesisParameters
from vaelib.synthetic.arms import lengths
from vaelib.synthetic.generators import has_critic


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"certainty": 0.9}, "certainty is for the generator classified, not 'conditional'"),
        ({"generator": "classified", "certainty": 1.0}, "less than 1"),
        ({"generator": "per_digit", "task_weight": 1.0}, "task_weight is for a VAE of all digits, not for"),
        ({"generator": "classified", "split": "second_half", "critic_run": "results/any"}, "a critic is trained here"),
        ({"task_weight": 1.0, "split": "second_half", "critic_run": "results/any"}, "a critic is trained here"),
        ({"spread": 2.0}, "spread is for the generator around, not 'conditional'"),
        ({"split": "train"}, "it must be one of first_half, second_half"),
    ],
)
def test_a_generator_that_cannot_be_is_refused(values, said):
    with pytest.raises(ValidationError, match=said):
        SynthesisParameters(**values)


def test_a_critic_is_there_where_it_has_a_part():
    assert SynthesisParameters(split="second_half", critic_run="results/any")  # which has none in making these images
    assert not has_critic("conditional", task_weight=0.0)
    assert has_critic("classified", task_weight=0.0) and has_critic("conditional", task_weight=1.0)


@pytest.mark.parametrize("updates", [0, [], [0, 5], [5, 5]])
def test_numbers_of_updates_are_above_0_and_none_is_there_twice(updates):
    with pytest.raises(ValidationError, match="a number above 0, or a list of such numbers, none twice"):
        AugmentationParameters(updates=updates)


def test_one_number_of_updates_or_several_are_accepted():
    assert lengths(AugmentationParameters().updates) == [1000]
    assert lengths(AugmentationParameters(updates=[500, 250]).updates) == [250, 500]
