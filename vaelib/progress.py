"""Lines that say how far a computation is, where it takes long enough for somebody to wonder."""

import time
from collections.abc import Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")
SILENCE = 4.0  # seconds without a word
ENDING = 2.0  # seconds before the end in which nothing needs to be said


def told(items: Sequence[T], what: str) -> Iterator[T]:
    """The items one by one; every SILENCE seconds a line says what share of `what` is done, and how long is left."""
    started = said = time.monotonic()
    for done, item in enumerate(items):
        now = time.monotonic()
        left = (now - started) / done * (len(items) - done) if done else 0.0
        if now - said > SILENCE and left > ENDING:
            print(f"  {what}: {done / len(items):.0%}, {left:.0f} s left", flush=True)
            said = now
        yield item
