"""What the parameters of the two notebooks on synthetic images accept together, and what they say where they do not."""

import pytest
from pydantic import ValidationError

from vaelib.runs.schemas import AugmentationParameters, SynthesisParameters


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"certainty": 0.9}, "certainty is for the generator classified, not 'conditional'"),
        ({"generator": "classified", "certainty": 1.0}, "less than 1"),
        ({"generator": "per_digit", "task_weight": 1.0}, "task_weight is for a VAE of all digits, not for"),
        ({"generator": "classified", "split": "second_half", "critic_run": "results/any"}, "a critic is trained here"),
        ({"task_weight": 1.0, "split": "second_half", "critic_run": "results/any"}, "a critic is trained here"),
        ({"split": "train"}, "it must be one of first_half, second_half"),
    ],
)
def test_a_generator_that_cannot_be_is_refused(values, said):
    with pytest.raises(ValidationError, match=said):
        SynthesisParameters(**values)


def test_a_critic_is_there_where_it_has_a_part_and_the_judge_is_of_the_other_half():
    assert not SynthesisParameters(split="second_half", critic_run="results/any").has_critic
    assert SynthesisParameters(generator="classified", latent_dim=5, certainty=0.9).has_critic
    assert SynthesisParameters(task_weight=1.0).has_critic
    assert SynthesisParameters().other_half == "second_half"
    assert SynthesisParameters(split="second_half").other_half == "first_half"


@pytest.mark.parametrize("updates", [0, [], [0, 5], [5, 5]])
def test_numbers_of_updates_are_above_0_and_none_is_there_twice(updates):
    with pytest.raises(ValidationError, match="a number above 0, or a list of such numbers, none twice"):
        AugmentationParameters(updates=updates)


def test_one_number_of_updates_or_several_are_accepted():
    assert AugmentationParameters().lengths == [1000]
    assert AugmentationParameters(updates=[500, 250]).lengths == [250, 500]
