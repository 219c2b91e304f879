"""What the images of a data set show: the word for one of them, and what its classes are called."""

import re
from typing import NamedTuple

USUAL = "MNIST"  # about which the texts and figures are written


class Classes(NamedTuple):
    """The word for what an image shows, its plural, and the names of the classes 0 to 9."""

    noun: str
    plural: str
    names: tuple[str, ...]


NUMBERS = tuple("0123456789")
GARMENTS = ("T-shirt/top", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot")
HIRAGANA = ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo")
KNOWN = {
    USUAL: Classes("digit", "digits", NUMBERS),
    "FashionMNIST": Classes("garment", "garments", GARMENTS),
    "KMNIST": Classes("character", "characters", HIRAGANA),
}


def of(dataset: str) -> Classes:
    """What a data set shows; of a person's own that is not known, and an image is one of a class."""
    return KNOWN.get(dataset, Classes("class", "classes", NUMBERS))


_subject = USUAL


def about(dataset: str) -> None:
    """From here on figures and texts are about this data set: what `reword` gives says "garment" where one is shown."""
    global _subject
    _subject = dataset


def names() -> tuple[str, ...]:
    """What the classes 0 to 9 of the present data set are called."""
    return of(_subject).names


def reword(text: str) -> str:
    """A text about MNIST's digits as one about the present data set: its name, and its word for a digit.

    A longer word that contains one of these stays as it is, such as `per_digit` or a name of a file.
    """
    if _subject == USUAL:
        return text
    own = of(_subject)
    for word, other in (("digits", own.plural), ("digit", own.noun), ("MNIST", _subject)):
        text = re.sub(rf"(?<![\w./-]){word}(?![\w/-])", other, text)
        text = re.sub(rf"(?<![\w./-]){word.capitalize()}(?![\w/-])", other.capitalize(), text)
    return text
