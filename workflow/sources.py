"""What a notebook or module is made of: the parameters it takes, the modules it imports, and a digest of files."""

import ast
import hashlib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path


def parameters(notebook: Path) -> set[str]:
    """The names assigned in the cell tagged `parameters`: those that papermill can set."""
    tagged = [cell for cell in _cells(notebook) if "parameters" in cell["metadata"].get("tags", [])]
    nodes = [node for cell in tagged for node in _nodes(cell["source"])]
    return {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}


def imports(file: Path, package: Path) -> Iterator[str]:
    """The modules that a notebook or a module of `package` imports.

    Of `from a import b` both a and a.b are given, although the second may be no module.
    """
    if file.suffix == ".ipynb":
        sources = [cell["source"] for cell in _cells(file) if cell["cell_type"] == "code"]
    else:
        sources = [file.read_text(encoding="utf-8")]
    for node in (node for source in sources for node in _nodes(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            # The package is flat, so that a relative import can only mean the package itself.
            base = ".".join(filter(None, [package.name if node.level else "", node.module]))
            yield from (base, *(f"{base}.{alias.name}" for alias in node.names))


def dependencies(file: Path, package: Path) -> set[Path]:
    """The files of `package` that a notebook or module imports, directly or through others.

    Imports inside functions count. So does a package's `__init__.py`, which every import of it runs.
    """
    found: set[Path] = set()
    pending = list(_imported(file, package))
    while pending:
        module = pending.pop()
        if module not in found:
            found.add(module)
            pending += _imported(module, package)
    return found


def digest(files: Iterable[Path]) -> str:
    """One checksum over the contents of `files`; of a notebook the sources of its cells count alone.

    So a notebook that was only opened, run and saved in JupyterLab is no reason to run anything again.
    """
    checksum = hashlib.sha256()
    for file in sorted(files):
        content = file.read_bytes()
        if file.suffix == ".ipynb":
            content = json.dumps([(cell["cell_type"], cell["source"]) for cell in _cells(file)]).encode()
        checksum.update(f"{file.name} {len(content)} ".encode() + content)
    return checksum.hexdigest()[:16]


def _cells(notebook: Path) -> list[dict]:
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    return [cell | {"source": "".join(cell["source"])} for cell in cells]


def _nodes(source: str) -> Iterator[ast.AST]:
    """Every node of some Python; of what is not Python none, for the run itself will say what is wrong with it."""
    try:
        lines = (line for line in source.splitlines() if not line.lstrip().startswith(("%", "!")))  # IPython's magics
        yield from ast.walk(ast.parse("\n".join(lines)))
    except SyntaxError:
        return


def _imported(file: Path, package: Path) -> Iterator[Path]:
    for first, *rest in (name.split(".") for name in imports(file, package)):
        if first == package.name:
            candidates = [package / "__init__.py"]
            if rest:
                candidates.append(package / f"{rest[0]}.py")
            yield from (path for path in candidates if path.is_file())
