"""A notebook's parameters are checked before anything runs: names, types, ranges, each mistake in a line of its own."""

import ast
import difflib
from collections.abc import Mapping, MutableMapping
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from pydantic import BaseModel, ConfigDict, PrivateAttr, ValidationError

from vaelib.files import UserError


class ParameterError(UserError):
    """A parameter has an unknown name, a wrong type or a value out of range."""


class Parameters(BaseModel):
    """Base of a notebook's parameters: strict types, no unknown name, and read-only once checked."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)
    notebook: ClassVar[str]
    _namespace: Mapping[str, Any] = PrivateAttr(default_factory=dict)

    def changed(self) -> list[str]:
        """The parameters that have other values in the notebook now than those that were checked."""
        return [name for name, value in self if self._namespace.get(name, value) != value]


P = TypeVar("P", bound=Parameters)


def check(schema: type[P], namespace: MutableMapping[str, Any]) -> P:
    """Check a notebook's parameters before anything runs.

    `namespace` is the notebook's `globals()`. Papermill only warns of a name it does not know; here every name that
    the parameters cell assigns, and the cell that papermill injects behind it, must be a field of `schema`.

    Raises `ParameterError` naming each wrong parameter and what it may be. Then what an earlier configuration left in
    the session is gone, its run and its models, so that no cell that follows goes on with them.
    """
    known, assigned = schema.model_fields, _assigned(namespace)
    unknown = [name for name in assigned if name not in known]
    in_order = [*(name for name in assigned if name in known), *(name for name in known if name not in assigned)]
    problems = [_unknown(name, in_order) for name in unknown]
    try:
        checked = schema(**{name: namespace[name] for name in known if name in namespace})
        checked._namespace = namespace
    except ValidationError as error:
        problems += [_explain(e) for e in error.errors()]
    if problems:
        for name in [*unknown, *(name for name, value in namespace.items() if _of_a_run(value))]:
            namespace.pop(name, None)  # gone already, where this cell runs a second time
        raise ParameterError("\n  ".join(["the parameters were not accepted:", *problems]))
    return checked


def _assigned(namespace: Mapping[str, Any]) -> list[str]:
    """The names that the last cells of nothing but literals assign: the parameters, and what papermill injected.

    Outside of IPython, which keeps the cells in `In`, these are all plain values.
    """
    if "In" not in namespace:
        plain = str | int | float | list | tuple | dict | Path | None
        return [name for name, value in namespace.items() if not name.startswith("_") and isinstance(value, plain)]
    names: dict[str, None] = {}
    for source in reversed(namespace["In"][:-1]):  # the last is the cell that checks
        found = _literals(source)
        if names and not found:
            break
        names = dict.fromkeys(found) | names
    return list(names)


def _literals(source: str) -> list[str]:
    """The names that a cell assigns, if it does nothing else, and assigns nothing but literals."""
    try:
        statements = ast.parse(source).body
        for statement in statements:
            ast.literal_eval(statement.value)
        return [(s.target if isinstance(s, ast.AnnAssign) else s.targets[0]).id for s in statements]
    except (SyntaxError, ValueError, AttributeError, TypeError):
        return []


def _of_a_run(value: Any) -> bool:
    """Whether a variable is a configuration, a run made from one, or a model."""
    return any(isinstance(v, Parameters) for v in (value, getattr(value, "config", None))) or hasattr(value, "built_as")


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
