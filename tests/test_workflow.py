"""The workflow runs what is stale and nothing else, and nothing that is finished is ever lost."""

import base64
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from toy import PROJECT, REST, RUNS, Toy, make, write

sys.path.insert(0, str(PROJECT / "workflow"))

import build
import identity
import machine
import plan

from vaelib.runs import provenance

DIFFICULT = 'my próject\'s "copy" & {brackets} $HOME #1 ' + 40 * "long"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Toy:
    """One toy project, built from nothing, which no test changes. Its path is as difficult as a path may be."""
    toy = make(tmp_path_factory.mktemp("toys") / DIFFICULT)
    toy.command += ["--cores", "1"]  # so that the order in which runs start is certain
    toy.cold = toy.build()
    return toy


@pytest.fixture
def toy(built: Toy, tmp_path: Path) -> Toy:
    """A finished toy project of the test's own: a copy, which is as up to date as what it was copied from."""
    shutil.copytree(built.folder, tmp_path / DIFFICULT, symlinks=True)
    return Toy(tmp_path / DIFFICULT)


@pytest.mark.slow
def test_a_cold_build_runs_everything_and_says_where_the_report_is(built: Toy):
    code, output, started = built.cold
    assert (code, started) == (0, RUNS | REST)
    assert "3 of 3 runs done" in output and "[alpha/one] epoch 1/1  loss 0.5" in output
    first = ["Report at scale toy: 3 runs", "3 runs: without a result so far", "on the processor, up to 1 at a time"]
    assert output.splitlines()[:3] == first
    assert output.endswith("  report/build/toy/report.html\n  report/build/toy/report.pdf\n")
    assert "Executing Cell" not in output and "Building DAG" not in output
    assert (built.folder / "report/build/toy/report.html").read_text() == "only a toy"
    for run in RUNS:
        left = {path.name for path in (built.results / run).iterdir()}
        assert left == {"metrics.json", "notebook.ipynb", "identity.json", "checkpoint.safetensors"}


@pytest.mark.slow
def test_runs_start_as_declared_and_what_they_need_before_them(built: Toy):
    order = [line.split(": ")[1] for line in built.cold[1].splitlines() if line.startswith("run ")]
    assert order == ["alpha/one", "beta/one", "alpha/two"]


@pytest.mark.slow
def test_runs_start_again_by_the_seconds_in_their_records(toy: Toy):
    for run, seconds in (("alpha/one", 1), ("beta/one", 2), ("alpha/two", 4)):
        write(toy.results / run / "metrics.json", json.dumps({"provenance": {"wall_seconds": seconds}}))
    toy.edit("notebooks/alpha.ipynb", "epoch 1/1", "epoch 1 of 1")
    toy.command += ["--cores", "1"]
    order = [line.split(": ")[1] for line in toy.build()[1].splitlines() if line.startswith("run ")]
    assert order == ["alpha/two", "alpha/one", "beta/one"]


@pytest.mark.slow
def test_nothing_runs_again_if_only_words_times_and_outputs_changed(toy: Toy):
    for path in [*toy.folder.glob("vaelib/**/*.py"), *toy.folder.glob("notebooks/*.ipynb")]:
        path.touch()
    toy.edit("vaelib/room/own.py", "A docstring", "Another docstring")
    toy.edit("vaelib/room/inner/deep.py", "# a comment", "# another comment")
    toy.edit("notebooks/beta.ipynb", "# a comment", "# another comment")
    notebook = toy.folder / "notebooks" / "alpha.ipynb"  # as JupyterLab leaves it after a run by hand
    content = json.loads(notebook.read_text())
    content["cells"][1] |= {"execution_count": 7, "outputs": [{"output_type": "stream", "text": "x"}]}
    content["cells"].append({"cell_type": "markdown", "id": "words", "metadata": {}, "source": "It trains."})
    notebook.write_text(json.dumps(content))
    code, output, started = toy.build()
    assert (code, started) == (0, set())
    assert re.match(r"Report at scale toy: 3 runs\nUp to date after \d+ s:\n", output)  # of the device nothing is said


@pytest.mark.slow
def test_a_picture_and_prose_make_the_report_stale_and_no_run(toy: Toy):
    toy.edit("vaelib/plots/charts.py", "CHART = 1", "CHART = 2")  # beta's notebook draws it, too
    assert toy.stale() == {"report", "publish"} and toy.due() == []
    toy.edit("vaelib/plots/charts.py", "CHART = 2", "CHART = 1")
    content = json.loads((toy.folder / "report" / "report.ipynb").read_text())
    content["cells"].append({"cell_type": "markdown", "id": "words", "metadata": {}, "source": "What it means."})
    write(toy.folder / "report" / "report.ipynb", json.dumps(content))
    assert toy.stale() == {"report", "publish"}


@pytest.mark.slow
def test_a_style_sheet_makes_the_report_stale_and_no_file_of_an_editor_does(toy: Toy):
    for name in (
        ".shared.py.swp",
        ".DS_Store",
        "shared.py~",
        "shared.py.orig",
        ".#shared.js",
        ".ipynb_checkpoints/style.css",
    ):
        for folder in ("report", "vaelib", "vaelib/room"):
            write(toy.folder / folder / name, "an editor's own")
    assert toy.stale() == set()
    write(toy.folder / "vaelib" / "room" / "page.js", "new")
    assert toy.stale() == {"report", "publish"}


def test_of_what_a_report_is_made_of_besides_code_no_kind_of_file_is_left_out():
    known = re.search(r"path\.suffix in {(.*)}", (PROJECT / "workflow" / "Snakefile").read_text())[1]
    tracked = subprocess.run(["git", "ls-files", "report", "vaelib"], cwd=PROJECT, capture_output=True, text=True)
    if tracked.returncode:
        pytest.skip("what belongs to the project is known in a git checkout alone")
    files = [Path(name) for name in tracked.stdout.split() if not name.startswith("report/published/")]
    assert {f'"{file.suffix}"' for file in files} - {'".py"', '".ipynb"'} == set(known.split(", "))


@pytest.mark.slow
def test_edited_code_makes_those_runs_stale_that_compute_with_it_at_whatever_depth(toy: Toy):
    module = toy.edit("vaelib/room/inner/deep.py", "DEEP = 1", "DEEP = 2")
    os.utime(module, (0, 0))  # an edit counts even if the file looks old
    assert toy.stale() == {"beta/one"} | REST
    assert toy.due() == ["1 run: vaelib/room/inner/deep.py changed"]


@pytest.mark.slow
def test_an_edited_notebook_makes_its_runs_stale_and_those_that_need_them(toy: Toy):
    toy.edit("notebooks/alpha.ipynb", "epoch 1/1", "epoch 1 of 1")
    assert toy.stale() == RUNS | REST
    assert toy.due() == ["2 runs: notebooks/alpha.ipynb changed", "1 run: what they need runs again"]


@pytest.mark.slow
def test_a_changed_parameter_and_a_deleted_record_are_noticed(toy: Toy):
    toy.edit("workflow/scales/toy.yaml", "value: 0.5", "value: 1.5")
    (toy.results / "alpha/two/metrics.json").unlink()
    assert toy.stale() == {"alpha/two", "beta/one"} | REST
    assert sorted(toy.due()) == ["1 run: parameters changed", "1 run: without a result so far"]


@pytest.mark.slow
def test_what_needs_a_run_is_due_when_a_build_ended_between_the_two_and_so_is_what_needs_that(toy: Toy):
    toy.edit("workflow/scales/toy.yaml", "alpha/one}}", "alpha/one}}\n      two: {needs: {alpha_run: beta/one}}")
    assert toy.build()[0] == 0 and toy.stale() == set() and toy.due() == []
    write(toy.results / "alpha/one/metrics.json", "what it has measured since")
    assert toy.stale() == {"beta/one", "beta/two"} | REST
    assert toy.due() == ["1 run: what they need has run since", "1 run: what they need runs again"]


@pytest.mark.slow
def test_whatever_runs_snakemake_starts_they_share_an_accelerator_by_its_memory(toy: Toy):
    write(toy.folder / "device.json", json.dumps({"device": "Toy 16 GB", "type": "cuda", "memory": 16e9 + 1}))
    toy.edit("workflow/Snakefile", "--threads {threads}", "--threads  {threads}")  # of which `due` knows nothing
    toy.command += ["--cores", "9"]
    code, _, started = toy.build()
    assert (code, started) == (0, RUNS | REST)
    told = {"VAELIB_RUNS_SIDE_BY_SIDE": "4", "OMP_NUM_THREADS": "2", "CUBLAS_WORKSPACE_CONFIG": ":4096:8"}
    for run, value in (("alpha/one", 1), ("alpha/two", 2), ("beta/one", 0.5)):
        assert json.loads((toy.results / run / "metrics.json").read_text()) == {"value": value} | told


@pytest.mark.slow
def test_a_failed_run_is_reported_leaves_no_record_and_stops_only_what_needs_it(toy: Toy):
    toy.edit("workflow/scales/toy.yaml", "value: 1", "value: bad")
    toy.edit("workflow/scales/toy.yaml", "value: 2", "value: 3")
    (toy.folder / "device.json").unlink()
    code, output, started = toy.build()
    assert (code, started) == (1, {"alpha/one", "alpha/two"})
    assert "which device there is could not be found out (FileNotFoundError" in output
    assert "alpha/one] FAILED" in output.split("No report: ")[1] and "ValueError: the value is bad" in output
    notebook = toy.folder / "results/toy/logs/alpha/one.ipynb"
    assert f"notebook with the traceback: {notebook.relative_to(toy.folder)}" in output
    assert "the value is bad" in notebook.read_text()
    assert not (toy.results / "alpha/one/metrics.json").exists()
    assert (toy.results / "alpha/one/checkpoint.safetensors").exists()
    assert json.loads((toy.results / "alpha/two/metrics.json").read_text())["value"] == 3


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_stopped_build_leaves_no_process_and_goes_on_next_time(toy: Toy, number: signal.Signals):
    toy.edit("workflow/scales/toy.yaml", "value: 0.5", "value: 4")
    (toy.folder / "wait").touch()
    build = toy.start()
    for line in build.stdout:
        if line.startswith("[beta/one] epoch"):
            break
    if number == signal.SIGKILL:
        code, output, _ = toy.build()
        assert code == 1 and f"another build of results/toy is at work (process {build.pid})" in output
    build.send_signal(number)
    build.wait(60)
    if number != signal.SIGKILL:
        assert build.returncode == 130 and "goes on from here" in build.stdout.read()
    build.stdout.close()
    deadline = time.monotonic() + 60
    while toy.processes():
        assert time.monotonic() < deadline, toy.processes()
        time.sleep(0.2)
    assert not (toy.results / "beta/one/metrics.json").exists()
    assert (toy.results / "beta/one/checkpoint.safetensors").exists()
    (toy.folder / "wait").unlink()
    if number == signal.SIGKILL:  # the hardest case stands for all
        code, _, started = toy.build()
        assert (code, started) == (0, {"beta/one"} | REST)


@pytest.mark.parametrize("script", ["build.py", "status.py", "archive.py"])
def test_an_interrupt_while_it_is_only_starting_shows_no_traceback(tmp_path: Path, script: str):
    process = subprocess.Popen(
        only_starting(tmp_path, script), cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    wait_for(tmp_path / "started")
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=60)[0] == "" and process.returncode == -signal.SIGINT


@pytest.mark.parametrize("script", ["build.py", "archive.py"])
def test_a_build_dies_with_make_even_while_it_is_only_starting(tmp_path: Path, script: str):
    start = only_starting(tmp_path, script)
    write(tmp_path / "Makefile", f"report:\n\t@{shlex.join(start)}; true\n")
    make = subprocess.Popen(["make"], cwd=tmp_path, preexec_fn=os.setpgrp)
    shell = wait_for(tmp_path / "started")
    os.kill(shell, signal.SIGKILL)  # the parent: make itself, or a shell of it
    make.wait(60)
    deadline = time.monotonic() + 20
    command = Path(f"/proc/{(tmp_path / 'started').read_text().split()[0]}/cmdline")
    while command.exists() and command.read_text():  # empty of one that has ended, until its new parent takes note
        assert time.monotonic() < deadline, "it still runs"
        time.sleep(0.1)


def only_starting(folder: Path, script: str) -> list[str]:
    """The command of a script that never gets beyond its first imports, in a folder."""
    for file in (script, "watch.py"):
        shutil.copy(PROJECT / "workflow" / file, folder)
    slow = (
        "import os, pathlib, time; pathlib.Path('started').write_text(f'{os.getpid()} {os.getppid()}'); time.sleep(60)"
    )
    for module in ("joblib.py", "identity.py", "safetensors.py"):  # what the three import first of others
        write(folder / module, slow)
    return [sys.executable, script, "toy"]


def wait_for(started: Path) -> int:
    """Waits until a script has written the file, and returns the number of its parent process."""
    deadline = time.monotonic() + 60
    while not (started.exists() and started.read_text()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return int(started.read_text().split()[1])


@pytest.mark.parametrize("cores", ["0", "-1", "1.5", "x"])
def test_a_number_of_cores_that_is_none_is_refused_before_anything_starts(monkeypatch, capsys, cores: str):
    monkeypatch.setattr(sys, "argv", ["build.py", "toy", "--cores", cores])
    with pytest.raises(SystemExit):
        build.arguments("Builds.")
    said = f"build.py: error: argument --cores: '{cores}' is no number of cores: give 1 or more\n"
    assert capsys.readouterr().err.endswith(said)


def test_the_workflow_and_a_record_know_the_same_libraries_and_the_same_word_for_neighbours():
    assert build.SIDE_BY_SIDE == provenance.SIDE_BY_SIDE and identity.LIBRARIES == provenance.LIBRARIES


def test_code_is_looked_at_once_for_all_runs_of_a_notebook(monkeypatch, tmp_path: Path):
    runs, seen = plan.load(PROJECT, "smoke").runs, []
    monkeypatch.setattr(identity.sources, "of_notebook", lambda notebook, _: seen.append(notebook.stem) or {})
    identity._of_code.cache_clear()
    identity.why_due(runs, PROJECT, tmp_path)
    identity._of_code.cache_clear()
    assert sorted(seen) == sorted({run.experiment for run in runs.values()})


def leave_marked(toy: Toy, run: str) -> None:
    """As a run is left that finished while Snakemake was being killed."""
    for file in ("metrics.json", "notebook.ipynb"):
        name = base64.urlsafe_b64encode(f"{run}/{file}".encode()).decode()
        (toy.results / ".snakemake" / "metadata" / name).unlink()
        write(toy.results / ".snakemake" / "incomplete" / name, json.dumps({"external_jobid": None}))


@pytest.mark.slow
def test_a_run_that_finished_while_snakemake_was_killed_does_not_run_again(toy: Toy):
    leave_marked(toy, "alpha/one")
    assert toy.stale() >= {"alpha/one"}, "by itself Snakemake would run it again"
    code, output, started = toy.build()
    assert (code, started) == (0, set()), output
    assert toy.due() == []  # although beta/one is older than this record, which was touched
    toy.edit("workflow/scales/toy.yaml", "value: 1", "value: 1.5")
    assert toy.stale() == {"alpha/one", "beta/one"} | REST


@pytest.mark.slow
def test_a_marked_run_whose_record_is_older_than_one_that_it_comes_from_runs_again(toy: Toy):
    leave_marked(toy, "beta/one")
    os.utime(toy.results / "beta/one/metrics.json", (0, 0))
    code, output, started = toy.build()
    assert (code, started & RUNS) == (0, {"beta/one"}), output


def test_a_full_disk_is_noticed_before_anything_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(build, "PROJECT", tmp_path)
    monkeypatch.setattr(build.shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 10**9, 10**8))
    with pytest.raises(build.BuildError, match=r"20 runs need about 1\.0 GB in results, but only 0\.1 GB are free"):
        build.check_space(tmp_path / "results", 20)
    build.check_space(tmp_path / "results", 0)  # nothing to do needs no space


def test_results_that_cannot_be_written_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(build, "PROJECT", tmp_path)
    (tmp_path / "results").write_text("a file in the way, since no permission stops root")
    with pytest.raises(build.BuildError, match="cannot write to"), build.only_build(tmp_path / "results" / "toy"):
        pass


@pytest.mark.parametrize(
    ("printed", "runs", "threads", "said"),
    [
        ('{"device": "A", "type": "cpu", "memory": 0}', 6, 1, "on the processor, up to 6 at a time"),
        ('a warning\n{"device": "B", "type": "cuda", "memory": 9e9}', 2, 3, "on B, up to 2 runs share it"),
        ('{"device": "C", "type": "cuda", "memory": 1e9}', 1, 6, "on C, one run at a time"),
        ('{"device": "D", "type": "cuda", "memory": 85e9}', 6, 1, "on D, up to 6 runs share it"),
        ("nothing to be read", 6, 1, "which device there is could not be found out (JSONDecodeError: Expecting value"),
    ],
)
def test_runs_share_a_device_by_its_memory_and_the_cores(tmp_path: Path, printed, runs, threads, said):
    write(tmp_path / "vaelib" / "device.py", f"print({printed!r})")
    shares = machine.find_out(tmp_path, 6)
    assert (shares.runs, shares.threads) == (runs, threads) and shares.said.startswith(said)
