"""How many images there are, and how many of them a run had: data sets differ in their sizes."""

import functools

import pandas as pd

from vaelib import data


@functools.cache
def count(dataset: str, split: str) -> int:
    """The images of a split."""
    return len(data.load(dataset, split).labels)


@functools.cache
def divided(dataset: str, split: str, asked: int = 0) -> tuple[int, int]:
    """How many images of a split are trained on, and how many are held out; of a half only the first may be asked."""
    trained, held_out = data.with_validation(dataset, split, asked)
    return len(trained.labels), len(held_out.labels)


def at_most(asked: int, there: int) -> int:
    """How many images are taken where so many are asked for; 0 asks for all."""
    return min(asked or there, there)


def trained_on(run: pd.Series) -> int:
    """How many images a run trained on by its parameters; those that are held out do not count."""
    split, asked = run.get("split", "train"), int(run.train_images)
    if "generator" in run:  # some of the images that a generator is given are held out
        return divided(run.dataset, split, asked)[0]
    return at_most(asked, divided(run.dataset, split)[0])


def made(run: pd.Series) -> int:
    """How many images a generator made: unless a number is asked for, as many as the half that it does not see has."""
    return int(run["images"]) or count(run.dataset, data.OTHER_HALF[run.split])


def told(dataset: str) -> dict[str, str]:
    """The numbers of training images that the prose tells: before any are held out, and those held out."""
    trained, held_out = divided(dataset, "train")
    numbers = {"all": trained + held_out, "held_out": held_out, "half_held_out": divided(dataset, data.HALVES[0])[1]}
    return {name: f"{number:,}" for name, number in numbers.items()}
