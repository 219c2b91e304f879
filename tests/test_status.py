"""`make status` says what a build would run and why, runs nothing, and says how old the published report is."""

import json
import subprocess
from pathlib import Path

import pytest
from toy import Toy, make, write

pytestmark = pytest.mark.slow

OWN = {".snakemake", "__pycache__"}  # folders


def status(toy: Toy, *options: str) -> str:
    """What it says, and that nothing but Snakemake's own records has changed."""
    before = files(toy)
    command = [toy.python, str(toy.folder / "workflow" / "status.py"), "toy", "--cores", "2", *options]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    assert files(toy) == before
    return answer.stdout + answer.stderr


def files(toy: Toy) -> dict[Path, bytes]:
    """What Python and Snakemake do not write for themselves."""
    folders = [toy.folder / name for name in ("report", "results", "vaelib", "workflow")]
    found = [path for folder in folders for path in folder.rglob("*")]
    return {path: path.read_bytes() for path in found if path.is_file() and not OWN & set(path.parts)}


def git(folder: Path, *arguments: str) -> str:
    settings = ["-c", "user.name=A", "-c", "user.email=a@example.com"]
    command = ["git", *settings, *arguments]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout


def test_it_says_what_would_run_why_and_for_how_long(tmp_path: Path):
    toy = make(tmp_path)
    said = status(toy)
    assert "toy: 3 of 3 runs would run; how long is not known" in said and "3 runs: without a result so far" in said
    assert "its report would be built again" in said
    assert toy.build()[0] == 0
    said = status(toy)
    assert "toy: none of 3 runs would run\n" in said and "up to date: report/build/toy/report.html" in said
    toy.edit("vaelib/plots/charts.py", "CHART = 1", "CHART = 2")
    said = status(toy)
    assert "none of 3 runs would run" in said and "built again: its text, a figure or a table changed" in said
    toy.edit("workflow/Snakefile", "--no-progress-bar --log-output notebooks/", "--log-output notebooks/")
    said = status(toy)
    assert said.startswith("toy: 3 of 3 runs would run; how long")
    assert said.splitlines()[1:3] == [
        "  3 runs: their command in workflow/Snakefile changed",
        "its report would be built again",
    ]
    toy.edit("vaelib/room/own.py", "deep", "deep as below")
    record = toy.results / "beta" / "one" / "metrics.json"
    write(record, json.dumps({"provenance": {"wall_seconds": 75}}))
    said = status(toy)  # of two reasons at a time, too
    assert said.startswith("toy: 3 of 3 runs would run, about 1 min 52 s with 2 at a time")
    assert said.splitlines()[1:3] == [
        "  1 run: vaelib/room/own.py changed",
        "  2 runs: their command in workflow/Snakefile changed",
    ]
    toy.edit("workflow/Snakefile", "--log-output notebooks/", "--no-progress-bar --log-output notebooks/")
    said = status(toy)
    assert "1 of 3 runs would run, about 1 min 15 s with 2 at a time" in said
    assert "1 run: vaelib/room/own.py changed" in said and "its report would be built again\n" in said
    toy.edit("vaelib/room/own.py", "deep as below", "deep")
    write(toy.results / "alpha" / "one" / "metrics.json", "newer than what was made of it")
    assert "toy: 1 of 3 runs would run" in (said := status(toy)) and "1 run: what they need has run since" in said
    assert said.endswith("since this is no git checkout with the project's history\n")


def test_it_says_how_many_commits_the_published_report_is_behind_the_code(tmp_path: Path):
    toy = make(tmp_path)
    write(tmp_path / "report" / "published" / "report.html", "a report")
    git(tmp_path, "init", "-q")
    for number in range(3):
        write(tmp_path / "vaelib" / "shared.py", f"SHARED = {number}")
        git(tmp_path, "add", "vaelib", *["report"] * (number == 0))
        git(tmp_path, "commit", "-qm", "one more")
    write(tmp_path / "README.md", "not code")
    git(tmp_path, "add", "README.md")
    git(tmp_path, "commit", "-qm", "text")
    assert status(toy).endswith("), 2 commits behind the code\n")
    first = git(tmp_path, "rev-list", "--max-parents=0", "HEAD").strip()
    write(tmp_path / "report" / "published" / "report.html", f"made from commit\n<code>{first[:10]}</code>.")
    git(tmp_path, "add", "report")
    git(tmp_path, "commit", "-qm", "published anew")
    assert f"), no commits behind the code; its numbers of {first[:10]}, 2 commits behind the code" in status(toy)


def test_code_that_is_no_python_is_one_line_of_status_and_build_before_anything_has_run(tmp_path: Path):
    toy = make(tmp_path)
    toy.edit("vaelib/room/own.py", "from vaelib", "fro vaelib")
    said = "what stands here is no Python, mend it first: "
    line = f"{said}{tmp_path}/vaelib/room/own.py, line 3: fro vaelib.room.inner import deep\n"
    assert status(toy) == f"No status: {line}"
    code, output, started = toy.build()
    assert (code, started) == (1, set()) and output.endswith(f"No report: {line}") and output.count("\n") == 2


def test_a_scale_or_data_set_that_there_is_not_is_one_line(tmp_path: Path):
    toy = make(tmp_path)
    assert status(toy, "--dataset", "none").startswith("No status: there is no data set 'none'")
