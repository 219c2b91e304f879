"""The rooms of the package: each imports only those below it, and what lies in them stays small enough to read."""

import ast
import subprocess
import sys

import pytest
from importlinter.cli import lint_imports

from vaelib.files import PROJECT_ROOT

LONGEST_MODULE = 260  # lines
MOST_PARAMETERS = 8
MODULES = sorted((PROJECT_ROOT / "vaelib").rglob("*.py"))

# What a reader of the mathematics should not have to install, nor wait for.
IMPORT_EXACT = """
import importlib, pkgutil, sys
import vaelib.exact
for module in pkgutil.iter_modules(vaelib.exact.__path__, "vaelib.exact."):
    importlib.import_module(module.name)
    print(module.name)
print(*{"matplotlib", "seaborn", "pandas", "nbconvert"} & set(sys.modules), sep="\\n")
"""


def parameters(function):
    """The names of a function's parameters, without that of its instance."""
    given = function.args
    names = [a.arg for a in (*given.posonlyargs, *given.args, given.vararg, *given.kwonlyargs, given.kwarg) if a]
    return [name for name in names if name not in ("self", "cls")]


def test_a_room_imports_only_the_rooms_below_it(capsys):
    code = lint_imports(str(PROJECT_ROOT / "pyproject.toml"), no_cache=True)
    assert code == 0, capsys.readouterr().out


@pytest.mark.slow
def test_what_is_exact_needs_no_library_that_draws_or_publishes():
    done = subprocess.run([sys.executable, "-c", IMPORT_EXACT], capture_output=True, text=True, check=True)
    names = sorted(path.stem for path in (PROJECT_ROOT / "vaelib/exact").glob("[a-z]*.py"))
    assert done.stdout.split() == [f"vaelib.exact.{name}" for name in names]


def test_no_module_is_longer_than_a_reader_keeps_in_mind():
    lengths = {str(path.relative_to(PROJECT_ROOT)): len(path.read_text().splitlines()) for path in MODULES}
    assert len(lengths) > 30
    assert {name: length for name, length in lengths.items() if length > LONGEST_MODULE} == {}


def test_no_function_asks_for_more_than_a_caller_keeps_in_mind():
    functions = {
        f"{path.name}:{node.lineno}": len(parameters(node))
        for path in MODULES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
    }
    assert max(functions.values()) > 3
    assert {place: count for place, count in functions.items() if count > MOST_PARAMETERS} == {}
