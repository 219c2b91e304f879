"""Lines that say how far a computation is, where it takes long enough for somebody to wonder."""

import time
from collections.abc import Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")
SILENCE = 2.5  # seconds without a word
ENDING = 1.0  # seconds before the end in which nothing needs to be said

_spoken = time.monotonic()  # when the last word was said


def say(text: str) -> None:
    """Print a line at once."""
    global _spoken
    print(text, flush=True)
    _spoken = time.monotonic()


def told(items: Sequence[T], what: str) -> Iterator[T]:
    """The items one by one; after SILENCE a line says what share of `what` is done, and how long is left."""
    started = time.monotonic()
    for done, item in enumerate(items):
        now = time.monotonic()
        left = (now - started) / done * (len(items) - done) if done else 0.0
        if now - _spoken > SILENCE and left > ENDING:
            say(f"  {what}: {done / len(items):.0%}, {left:.0f} s left")
        yield item
