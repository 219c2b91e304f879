"""A notebook's parameters are checked before anything runs: names, types, ranges, each mistake in a line of its own."""

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from vaelib.files import UserError


class ParameterError(UserError):
    """A parameter has an unknown name, a wrong type or a value out of range."""


class Parameters(BaseModel):
    """Base of a notebook's parameters: strict types, no unknown name, and read-only once checked."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)


P = TypeVar("P", bound=Parameters)


def check(schema: type[P], namespace: Mapping[str, Any]) -> P:
    """Check a notebook's parameters before anything runs.

    `namespace` is the notebook's `globals()` just after the parameters cell and the cell that papermill injects
    behind it. Papermill itself only warns of a name it does not know; here any plain value that is not a field
    of `schema` is an error. (On a second pass in a live session other variables exist, so names go unchecked.)

    Raises `ParameterError` naming each wrong parameter and what it may be.
    """
    plain = {
        name: value
        for name, value in namespace.items()
        if not name.startswith("_") and isinstance(value, str | int | float | list | tuple | dict | Path | None)
    }
    first_pass = not any(isinstance(value, schema) for value in namespace.values())
    known = schema.model_fields
    unknown = [name for name in plain if name not in known and name not in ("In", "Out")] if first_pass else []
    problems = [_unknown(name, [other for other in plain if other in known]) for name in unknown]
    try:
        checked = schema(**{name: plain[name] for name in known if name in plain})
    except ValidationError as error:
        problems += [_explain(e) for e in error.errors()]
    if problems:
        raise ParameterError("\n  ".join(["the parameters were not accepted:", *problems]))
    return checked


def require(condition: bool, message: str) -> None:
    """Stop with a `ParameterError` unless the parameters fit what they name."""
    if not condition:
        raise ParameterError(f"{message}.")


def _unknown(name: str, known: list[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean '{close[0]}'?" if close else f"known are {', '.join(known)}."
    return f"'{name}' is not a parameter of this notebook: {hint}"


def _explain(error: Mapping[str, Any]) -> str:
    message = error["msg"].removeprefix("Value error, ")
    if not error["loc"]:  # about several parameters together
        return f"{message}."
    message = message.replace("Input should be", "it must be")
    return f"{error['loc'][0]} = {error['input']!r}: {message}."
