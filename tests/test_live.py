"""A live session, as JupyterLab has it: whatever cells run again, a record is that of its parameters, or is none."""

import ast
import json
import re
import shutil
from pathlib import Path

import nbformat
import numpy as np
import pytest
from jupyter_client.manager import start_new_kernel

from vaelib.files import PROJECT_ROOT
from vaelib.runs import records

pytestmark = pytest.mark.slow

SMALL = {"architecture": "mlp", "train_images": 500, "epochs": 1, "test_images": 50, "gap_images": 10}
SMALL |= {"exact_images": 20, "batch_size": 50, "device": "cpu", "precision": "float32"}
PATIENCE = 240  # seconds for a cell on a busy machine
STEPS = "import torch; steps = 0; step = torch.optim.Adam.step"
COUNTED = "def counted(*a, **k): globals().__setitem__('steps', steps + 1); return step(*a, **k)"


class Reply:
    """What became of a cell: `ok`, `error` or `aborted`, and the error's name and words."""

    def __init__(self, content: dict):
        self.status = content["status"]
        self.said = f"{content.get('ename', '')}: {content.get('evalue', '')}" if self.status == "error" else ""


class Session:
    """A kernel, to which the cells of notebooks are sent as JupyterLab sends them."""

    def __init__(self, client):
        self.client = client

    def send(self, sources: list[str]) -> list[Reply]:
        """Runs cells: all are sent at once, as Run All does, and then their replies are waited for.

        In the moment after an error a kernel aborts whatever comes: where it aborted the first, all are sent again.
        """
        while (replies := self._replies(sources))[0].status == "aborted":
            continue
        return replies

    def _replies(self, sources: list[str]) -> list[Reply]:
        sent = [self.client.execute(source, stop_on_error=True) for source in sources]
        replies: dict[str, dict] = {}
        while set(sent) - set(replies):
            message = self.client.get_shell_msg(timeout=PATIENCE)
            replies[message["parent_header"]["msg_id"]] = message["content"]
        return [Reply(replies[number]) for number in sent]

    def value(self, expression: str):
        """What an expression is in the kernel, without a trace in its history."""
        content: dict = {"status": "aborted"}  # as in the moment after an error
        while content["status"] == "aborted":
            number = self.client.execute("", silent=True, user_expressions={"value": f"repr({expression})"})
            while (message := self.client.get_shell_msg(timeout=PATIENCE))["parent_header"]["msg_id"] != number:
                pass
            content = message["content"]
        found = content["user_expressions"]["value"]
        assert found["status"] == "ok", found
        return ast.literal_eval(ast.literal_eval(found["data"]["text/plain"]))


class Notebook:
    """A notebook open in a session, whose parameters a person edits."""

    def __init__(self, session: Session, name: str, **values: object):
        cells = nbformat.read(PROJECT_ROOT / "notebooks" / f"{name}.ipynb", as_version=4).cells
        self.session, self.cells = session, [cell.source for cell in cells if cell.cell_type == "code"]
        self.edit(**values)

    def at(self, words: str) -> int:
        """The place of the cell with these words, which only one has."""
        [place] = [place for place, source in enumerate(self.cells) if words in source]
        return place

    def edit(self, **values: object) -> None:
        """Writes other values into the cell of the parameters."""
        place = self.at("run_dir: str = ")
        for name, value in values.items():
            line = re.compile(rf"^({name}: \w+ = )[^#\n]*", re.MULTILINE)
            assert line.search(self.cells[place]), name
            self.cells[place] = line.sub(lambda found, value=value: f"{found[1]}{value!r}  ", self.cells[place])

    def rename(self, old: str, new: str) -> None:
        """Misspells a parameter's name, or corrects it."""
        place = self.at("run_dir: str = ")
        self.cells[place] = re.sub(rf"^{old}:", f"{new}:", self.cells[place], flags=re.MULTILINE)

    def run(self, words: str) -> Reply:
        """Runs one cell; once more where a kernel that has just met an error still drops what comes next."""
        while (reply := self.session.send([self.cells[self.at(words)]])[0]).status == "aborted":
            pass
        return reply

    def run_all(self) -> list[Reply]:
        """Run > Run All Cells."""
        return self.session.send(self.cells)

    def run_whole(self) -> None:
        """Runs all cells, and every one must do."""
        assert [reply.said for reply in self.run_all() if reply.status != "ok"] == []


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory):
    """A kernel in a folder that is not the project's, as the playground is not."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JUPYTER_PREFER_ENV_PATH", "1")
        patch.setenv("IPYTHONDIR", str(tmp_path_factory.mktemp("ipython")))
        patch.setenv("OMP_NUM_THREADS", "1")
        manager, client = start_new_kernel(kernel_name="python3", cwd=str(tmp_path_factory.mktemp("playground")))
    session = Session(client)
    assert session.send([STEPS, COUNTED, "torch.optim.Adam.step = counted"])[-1].status == "ok"
    yield session
    client.stop_channels()
    manager.shutdown_kernel(now=True)


@pytest.fixture(scope="module")
def trainings(session: Session, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a first Run All of vae.ipynb at tiny parameters trained, a VAE and the reader of its samples."""
    folder = tmp_path_factory.mktemp("first") / "vae"
    Notebook(session, "vae", run_dir=str(folder), **SMALL).run_whole()
    assert session.value("steps") > 0
    return folder / "trainings"


@pytest.fixture
def notebook(session: Session, trainings: Path, tmp_path: Path) -> Notebook:
    """The same after a Run All in a folder of the test's own, whose trainings are copies of those."""
    shutil.copytree(trainings, tmp_path / "vae" / "trainings")
    notebook = Notebook(session, "vae", run_dir=str(tmp_path / "vae"), **SMALL)
    notebook.run_whole()
    return notebook


def result(folder: Path) -> tuple[dict, dict, dict]:
    """What two runs of the same parameters have in common: all but the times."""
    record = records.read_record(folder)
    metrics = {name: value for name, value in record["metrics"].items() if not name.endswith("seconds")}
    return record["config"], metrics, {name: array.tobytes() for name, array in records.arrays(folder).items()}


def test_run_all_again_takes_the_training_from_the_folder_and_gives_the_same(notebook: Notebook, tmp_path: Path):
    first, seconds, steps = (result(tmp_path / "vae"), *notebook.session.value("(history.seconds.tolist(), steps)"))
    notebook.run_whole()
    assert notebook.session.value("(history.seconds.tolist(), steps)") == (seconds, steps)  # no step of Adam
    assert result(tmp_path / "vae") == first


def test_run_all_with_a_refused_parameter_leaves_the_record_as_it_was(notebook: Notebook, tmp_path: Path):
    before = {path: path.read_bytes() for path in (tmp_path / "vae").rglob("*") if path.is_file()}
    for folder, wrong in (("vae", {"epochs": -1}), ("other", {"epochs": 1, "architecture": "cnov"})):
        notebook.edit(run_dir=str(tmp_path / folder), **wrong)
        replies = notebook.run_all()
        check = notebook.at("parameters.check")
        assert replies[check].said.startswith("ParameterError: the parameters were not accepted:\n")
        assert {reply.status for reply in replies[check + 1 :]} == {"aborted"}
        for source in notebook.cells[check + 1 :]:  # a person who goes on all the same
            notebook.session.send([source])
        while notebook.session.send(["pass"])[0].status == "aborted":  # what waits behind an error is dropped, too
            pass
    assert {path: path.read_bytes() for path in (tmp_path / "vae").rglob("*") if path.is_file()} == before
    assert not (tmp_path / "other").exists()


def test_the_training_cell_run_twice_gives_the_same_history_and_record(notebook: Notebook, tmp_path: Path):
    first, history = result(tmp_path / "vae"), notebook.session.value("history.to_json()")
    assert notebook.run("run.train(").status == "ok"
    assert notebook.session.value("history.to_json()") == history
    assert notebook.run("run.finish(").status == "ok" and result(tmp_path / "vae") == first


def test_parameters_changed_and_only_the_training_cell_run_are_refused(notebook: Notebook, tmp_path: Path):
    before, steps = (tmp_path / "vae/metrics.json").read_bytes(), notebook.session.value("steps")
    notebook.edit(epochs=2)
    assert notebook.run("run_dir: str = ").status == "ok"
    for cell in ("run.train(", "evaluation.likelihood(", "run.finish("):
        assert notebook.run(cell).said == (
            "RunError: epochs changed since this run began: run the notebook again from its parameters on."
        )
    assert notebook.session.value("steps") == steps and (tmp_path / "vae/metrics.json").read_bytes() == before


def test_a_misspelt_name_is_refused_and_its_correction_accepted(notebook: Notebook, tmp_path: Path):
    before = (tmp_path / "vae/metrics.json").read_bytes()
    notebook.edit(epochs=2)
    notebook.rename("epochs", "epohcs")
    [said] = [reply.said for reply in notebook.run_all() if reply.status == "error"]
    assert said.startswith("ParameterError: the parameters were not accepted:\n  'epohcs' is not a parameter")
    assert (tmp_path / "vae/metrics.json").read_bytes() == before
    notebook.rename("epohcs", "epochs")
    assert notebook.run("run_dir: str = ").status == notebook.run("parameters.check").status == "ok"
    assert notebook.session.value("config.epochs") == 2


def test_latent_space_run_twice_in_one_session_gives_the_same(notebook: Notebook, tmp_path: Path):
    looking = Notebook(
        notebook.session, "latent_space", run_dir=str(tmp_path / "look"), vae_run=str(tmp_path / "vae"), device="cpu"
    )
    looking.run_whole()
    first = result(tmp_path / "look")
    looking.run_whole()
    assert result(tmp_path / "look") == first and np.isfinite(first[1]["hole_share"])
    assert json.loads((tmp_path / "vae/metrics.json").read_text())["config"]["epochs"] == 1  # that run is untouched
