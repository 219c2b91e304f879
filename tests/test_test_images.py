"""Test images are for final evaluation: nothing that trains, stops or chooses is given them or what was made of them.

A name in a notebook is *of test images* when its value was computed from `data.load(..., "test")`, directly or by way
of other such names. Whoever adds a way of training or choosing names it in MAKES.
"""

import ast
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from toy import PROJECT

NOTEBOOKS = sorted((PROJECT / "notebooks").glob("*.ipynb"))
MAKES = {  # functions that train, choose or say how to, by their last name
    "train", "train_classifier", "training_set", "fit", "model", "build", "settings", "require", "classifier",
    "choice_images", "with_validation", "synthesise", "Parts", "Classifiers", "TaskLoss", "VAELoss", "VAEGANLoss",
}  # fmt: skip
HALVES = {"data.OTHER_HALF[config.split]", "half"}  # what stands for the name of a half: no test images
READS = {  # of vaelib
    "data.py",  # loads the split that it is asked for
    "report/images.py",  # counts the images of a split
    "report/summary.py",  # shows the images that a run was evaluated on
}


def loads_test(node: ast.AST) -> bool:
    """Whether a call of `data.load` or `archives.read` asks for the test images, or for what the code does not tell."""
    called = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
    if called not in ("data.load", "archives.read"):
        return False
    keyword = {"data.load": "split", "archives.read": "test"}[called]
    given = [*node.args[1:2], *(each.value for each in node.keywords if each.arg in (keyword, None))]
    return any(ast.unparse(asked) not in HALVES and not _other(asked) for asked in given)


def _other(asked: ast.AST) -> bool:
    """Whether this is a constant that stands for other images than the test images."""
    return isinstance(asked, ast.Constant) and asked.value not in ("test", True)


def of_test_images(tree: ast.AST) -> set[str]:
    """The names whose values hang on test images, wherever in the notebook they are assigned."""
    names: set[str] = set()
    while True:
        found = {
            name.id
            for node in ast.walk(tree)
            if isinstance(
                node, ast.Assign | ast.AugAssign | ast.AnnAssign | ast.For | ast.comprehension | ast.NamedExpr
            )
            and touches(node.iter if isinstance(node, ast.For | ast.comprehension) else node.value, names)
            for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
            for name in ast.walk(target)
            if isinstance(name, ast.Name) and isinstance(name.ctx, ast.Store)
        }
        if found <= names:
            return names
        names |= found


def touches(node: ast.AST | None, names: set[str]) -> bool:
    """Whether an expression loads test images or reads one of the names."""
    parts = list(ast.walk(node)) if node else []
    return any(loads_test(part) or (isinstance(part, ast.Name) and part.id in names) for part in parts)


def misuses(source: str) -> Iterator[str]:
    """The calls that train or choose and are given something of test images."""
    tree = ast.parse(source)
    names = of_test_images(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            given = [*node.args, *(keyword.value for keyword in node.keywords)]
            if called in MAKES and any(touches(value, names) for value in given):
                yield ast.unparse(node)


def code(notebook: Path) -> str:
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    return "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_nothing_that_trains_or_chooses_is_given_test_images(notebook: Path):
    assert list(misuses(code(notebook))) == []


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_which_images_are_loaded_can_be_read_from_the_code(notebook: Path):
    """`data.load` is given its split as a word, as a parameter that cannot be "test", or by name among the halves."""
    for node in ast.walk(ast.parse(code(notebook))):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "data.load":
            split = ast.unparse(node.args[1])
            assert split in {"'train'", "'validation'", "'test'", "'first_half'"} | HALVES, split


def test_in_the_package_only_the_report_loads_them():
    package = PROJECT / "vaelib"
    loading = {
        str(path.relative_to(package))
        for path in package.rglob("*.py")
        if any(loads_test(node) for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    }
    assert loading == READS


@pytest.mark.parametrize(
    ("source", "caught"),
    [
        ('x = data.load(name, "test")\nrun.train(loss, x, y, settings)', True),
        ('x = data.load(name, "test").take(5)\nn = accuracy(m, x)\nif n > 0: s = run.settings(epochs=n)', True),
        ('for part in (data.load(name, "test"), y):\n    train_classifier(part, 5)', True),
        ('run.train(loss, a, data.load(name, "test"), s)', True),
        ('x = data.load(name, "test")\nrun.train(loss, a, b, s)\nprint(accuracy(m, x))', False),
        ('x = data.load(name, "train")\nrun.train(loss, x, x, s)', False),
        ('x = data.load(name, split="test")\nrun.train(loss, x, x, s)', True),
        ("x = data.load(name, split)\nrun.train(loss, x, x, s)", True),
        ("x = data.load(name, **which)\nrun.train(loss, x, x, s)", True),
        ("x = data.load(name, half)\nrun.train(loss, x, x, s)", False),
        ("x = data.load(name)\nrun.train(loss, x, x, s)", False),  # those to train on
        ("x = archives.read(name, True, root)\nrun.train(loss, *x)", True),
        ("x = archives.read(name, test=test, root=root)\nrun.train(loss, *x)", True),
        ("x = archives.read(name, False, root)\nrun.train(loss, *x)", False),
    ],
)
def test_a_misuse_is_seen(source: str, caught: bool):
    assert bool(list(misuses(source))) == caught
