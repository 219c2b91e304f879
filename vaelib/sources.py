"""What code a result depends on: the modules behind a notebook or a training, each with a digest of what it says.

A digest is taken of the syntax tree, so that a comment, a docstring or the layout of the code change nothing. Pictures
do not count for a result: a run's identity leaves out `PICTURES` and what only they import.
"""

import ast
import functools
import hashlib
import json
import re
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

import grimp
from grimp.exceptions import SourceSyntaxError

from vaelib.files import UserError

PACKAGE = "vaelib"
# What no number comes from: drawing, reporting, and the checks that parameters pass before anything runs.
PICTURES = tuple(f"{PACKAGE}.{name}" for name in ("plots", "report", "runs.parameters", "runs.fields", "runs.schemas"))

MAGIC = re.compile(r"^([ \t]*)([%!].*)$", re.MULTILINE)  # a line of a notebook that is IPython's, not Python's


def of_notebook(notebook: Path, root: Path, without: Collection[str] = PICTURES) -> dict[str, str]:
    """A digest for each file that a notebook computes with, by its path below `root`: itself and what it imports.

    Of the notebook the code cells count, not the text between them. Modules in `without` are left out, and what only
    they import.
    """
    modules = [name for source in _code(notebook.read_bytes()) for name in _imports(source)]
    return {str(notebook.relative_to(root)): digest(notebook), **of_modules(modules, root, without)}


def of_modules(modules: Iterable[str], root: Path, without: Collection[str] = PICTURES) -> dict[str, str]:
    """The same for modules: for each its own digest, for those that they import too, at whatever depth."""
    files = (_file(module, root) for module in _with_imported(frozenset(modules), root, tuple(without)))
    return {str(file.relative_to(root)): digest(file) for file in sorted(files)}


@functools.cache  # for a process that began with a file goes on with it
def digest(file: Path) -> str:
    """Sixteen hexadecimal digits for what runs of a Python file or a notebook; of another file for all of it."""
    return digest_of_code(file.read_bytes(), file.suffix)


def digest_of_code(content: bytes, suffix: str) -> str:
    """The same for the content of a file whose name ends with the suffix, say of a version that git keeps."""
    if suffix not in (".py", ".ipynb"):
        return hashlib.sha256(content).hexdigest()[:16]
    parts = _code(content) if suffix == ".ipynb" else [content.decode("utf-8")]
    return hashlib.sha256(json.dumps([_tree(part) for part in parts]).encode()).hexdigest()[:16]


def digest_of_text(file: Path) -> str:
    """The same for a file in which every word counts; of a notebook the sources of its cells, not their outputs."""
    content = file.read_bytes()
    if file.suffix == ".ipynb":
        content = json.dumps([(cell["cell_type"], "".join(cell["source"])) for cell in _cells(content)]).encode()
    return hashlib.sha256(content).hexdigest()[:16]


@functools.cache
def _with_imported(modules: frozenset[str], root: Path, without: tuple[str, ...]) -> set[str]:
    """Modules of the package and all they import, with the packages that hold them; other modules are left out.

    Which module imports which is read from the package that Python finds first: that of `root`, for who starts there.
    """
    try:
        graph = grimp.build_graph(PACKAGE, cache_dir=None)
    except SourceSyntaxError as error:
        where = f"{error.filename}, line {error.lineno}: {(error.text or '').strip()}"
        raise UserError(f"what stands here is no Python, mend it first: {where}") from None
    rooms = tuple(f"{name}." for name in without)
    for module in [module for module in graph.modules if f"{module}.".startswith(rooms)]:
        graph.remove_module(module)
    found, added = set(), modules & graph.modules
    while added:
        found |= added
        imported = {upstream for module in added for upstream in graph.find_upstream_modules(module)}
        packages = {module.rpartition(".")[0] for module in found | imported}  # whose own code Python runs first
        added = (imported | packages) & graph.modules - found
    return found


def _file(module: str, root: Path) -> Path:
    path = root.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def _cells(notebook: bytes) -> list[dict]:
    return json.loads(notebook)["cells"]


def _code(notebook: bytes) -> list[str]:
    return ["".join(cell["source"]) for cell in _cells(notebook) if cell["cell_type"] == "code"]


def _parse(source: str) -> ast.Module | None:
    """The syntax tree of some Python, in which IPython's magics are calls; none of what is not Python."""
    for text in (source, MAGIC.sub(_call, source)):
        try:
            return ast.parse(text)
        except SyntaxError:
            continue
    return None  # the run itself will say what is wrong


def _call(magic: re.Match[str]) -> str:
    return f"{magic[1]}get_ipython({magic[2]!r})"


def _tree(source: str) -> str:
    """The syntax tree as text, without docstrings; what is not Python as it stands."""
    tree = _parse(source)
    if tree is None:
        return source
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list) and body and isinstance(body[0], ast.Expr):
            value = body[0].value
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                body[0] = ast.Expr(ast.Constant(""))
    return ast.dump(tree)


def _imports(source: str) -> Iterator[str]:
    """The modules that some Python imports. Of `from a import b` both a and a.b are given; the second may be none."""
    for node in ast.walk(_parse(source) or ast.Module([], [])):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (node.module, *(f"{node.module}.{alias.name}" for alias in node.names))
