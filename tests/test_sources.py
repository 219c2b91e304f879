"""A digest changes with what runs and with nothing else, and every module that a notebook computes with has one."""

import ast
from collections.abc import Callable
from pathlib import Path

import pytest
from toy import PROJECT, write, write_notebook

from vaelib import sources
from vaelib.files import UserError

MODULES = {
    "__init__.py": "import rooms.first",
    "first.py": "",
    "middle/__init__.py": "from rooms.middle import prepared",
    "middle/prepared.py": "",
    "middle/one.py": "def f():\n    from rooms.lower.deep import g",
    "middle/other.py": "",
    "lower/__init__.py": "",
    "lower/deep.py": "import numpy\nimport rooms.lower.deeper as d",
    "lower/deeper.py": "",
    "pictures/__init__.py": "",
    "pictures/charts.py": "from rooms.lower import colours, deep",
    "lower/colours.py": "",
}
ALWAYS = {"rooms/__init__.py", "rooms/first.py"}
MIDDLE = ALWAYS | {"rooms/middle/__init__.py", "rooms/middle/prepared.py"}
LOWER = {"rooms/lower/__init__.py", "rooms/lower/deep.py", "rooms/lower/deeper.py"}
PICTURES = {"rooms/pictures/__init__.py", "rooms/pictures/charts.py", "rooms/lower/colours.py"}


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a package called rooms, which stands for the project's own."""
    for name, text in MODULES.items():
        write(tmp_path / "rooms" / name, text)
    monkeypatch.setattr(sources, "PACKAGE", "rooms")
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


@pytest.fixture
def digest(tmp_path: Path) -> Callable[[str], str]:
    """The digest of a module with this text."""

    def digest(text: str) -> str:
        (tmp_path / "module.py").write_text(text)
        sources.digest.cache_clear()
        return sources.digest(tmp_path / "module.py")

    return digest


@pytest.fixture
def notebook_digest(tmp_path: Path) -> Callable[..., str]:
    """The digest of a notebook with these code cells."""

    def digest(*cells: str) -> str:
        write_notebook(tmp_path / "notebook.ipynb", *cells)
        sources.digest.cache_clear()
        return sources.digest(tmp_path / "notebook.ipynb")

    return digest


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("x = 1", "x = 1  # so many\n\n"),
        ("x = f(1, 2)", "x = f(\n    1,\n    2,\n)"),
        ('"""One."""\nx = 1', '"""Another."""\nx = 1'),
        ('def f():\n    """One."""\n    return 1', 'def f():\n    """Another."""\n    return 1'),
        ('class A:\n    """One."""\n    x = 1', 'class A:\n    """Another."""\n    x = 1'),
    ],
)
def test_words_and_layout_do_not_count(digest, before: str, after: str):
    assert digest(before) == digest(after)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("x = 1", "x = 2"),
        ("x = 1", "x = 1.0"),
        ("def f(a): pass", "def f(b): pass"),
        ("def f(a: int): pass", "def f(a: float): pass"),
        ("x = 'one'", "x = 'another'"),
        ("x = 1\ny = 2", "y = 2\nx = 1"),
        ('x = """\n% one"""', 'x = """\n% another"""'),
        ("no python", "no python either"),
    ],
)
def test_code_counts(digest, before: str, after: str):
    assert digest(before) != digest(after)


def test_of_a_notebook_the_code_counts_and_magics_are_no_obstacle(notebook_digest):
    before = notebook_digest("x = 1", "%matplotlib inline\nimport rooms", "%%bash\nls -l")
    assert before == notebook_digest("x = 1  # one", "%matplotlib inline\n\nimport rooms", "%%bash\nls -l")
    assert before != notebook_digest("x = 1", "%matplotlib inline\nimport others", "%%bash\nls -l")
    assert before != notebook_digest("x = 1", "%matplotlib inline\nimport rooms", "%%bash\nls -a")
    assert before != notebook_digest("x = 1", "!pip install rooms\nimport rooms", "%%bash\nls -l")


def test_in_a_report_the_text_counts_too_but_no_output(tmp_path: Path):
    notebook = tmp_path / "report.ipynb"
    write_notebook(notebook, "x = 1")
    before = sources.digest_of_text(notebook)
    write(notebook, notebook.read_text().replace('"outputs": []', '"outputs": [{"output_type": "stream"}]'))
    assert sources.digest_of_text(notebook) == before
    write_notebook(notebook, "x = 1  # one")
    assert sources.digest_of_text(notebook) != before


@pytest.mark.parametrize(
    ("imports", "found"),
    [
        ("import numpy", set()),
        ("import rooms", ALWAYS),
        ("import rooms.middle.other", MIDDLE | {"rooms/middle/other.py"}),
        ("from rooms.middle import other as o", MIDDLE | {"rooms/middle/other.py"}),
        ("from rooms.middle.one import f", MIDDLE | LOWER | {"rooms/middle/one.py"}),
        ("from rooms.middle.one import f\nfrom rooms.pictures import charts", MIDDLE | LOWER | {"rooms/middle/one.py"}),
        ("from rooms.pictures.charts import draw", set()),
    ],
)
def test_a_notebook_depends_on_what_it_imports_at_any_depth_but_not_on_pictures(root: Path, imports, found):
    write_notebook(root / "notebooks" / "n.ipynb", "x = 1", f"%matplotlib inline\n{imports}", "%%bash\nls -l")
    digests = sources.of_notebook(root / "notebooks" / "n.ipynb", root, without=("rooms.pictures",))
    assert set(digests) == found | {"notebooks/n.ipynb"}
    assert all(len(digest) == 16 for digest in digests.values())


def test_with_pictures_everything_counts_that_they_import(root: Path):
    assert set(sources.of_modules(["rooms.pictures.charts"], root, without=())) == ALWAYS | LOWER | PICTURES


def test_a_module_that_is_no_python_is_named_with_its_line(root: Path):
    write(root / "rooms" / "middle" / "other.py", "x = 1\ndef f(:\n    pass\n")
    with pytest.raises(UserError, match=r"/rooms/middle/other\.py, line 2: def f\(:$"):
        sources.of_modules(["rooms.first"], root)


def test_each_module_has_the_digest_of_its_file(root: Path):
    digests = sources.of_modules(["rooms.lower.deep"], root, without=())
    assert digests["rooms/lower/deep.py"] == sources.digest(root / "rooms/lower/deep.py")
    assert digests["rooms/lower/deep.py"] != digests["rooms/lower/deeper.py"]


def test_what_counts_as_pictures_is_there():
    for name in sources.PICTURES:
        path = PROJECT.joinpath(*name.split("."))
        assert path.is_dir() or path.with_suffix(".py").is_file()


@pytest.mark.parametrize("notebook", sorted((PROJECT / "notebooks").glob("*.ipynb")), ids=lambda path: path.stem)
def test_a_notebook_takes_from_plots_what_it_shows_and_nothing_else(notebook: Path):
    trees = [ast.parse(source) for source in sources._code(notebook.read_bytes())]
    imports = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    plots = {alias.asname or alias.name for node in imports if node.module == "vaelib.plots" for alias in node.names}
    taken = [ast.unparse(name) for tree in trees for name in names_of(tree, plots)]
    shown = [ast.unparse(name) for tree in trees for call in shows(tree) for name in names_of(call, plots)]
    assert sorted(taken) == sorted(shown) and shown


def names_of(tree: ast.AST, modules: set[str]) -> list[ast.Attribute]:
    """What some code takes from the modules, such as `figures.show`."""
    attributes = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute)]
    return [node for node in attributes if isinstance(node.value, ast.Name) and node.value.id in modules]


def shows(tree: ast.Module) -> list[ast.Call]:
    """The calls that stand alone in a line and show a picture: their value is kept nowhere."""
    calls = [node.value for node in ast.walk(tree) if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)]
    return [call for call in calls if ast.unparse(call.func) in ("figures.show", "explorer.Explorer")]
