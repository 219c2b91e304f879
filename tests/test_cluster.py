"""Runs as jobs of a cluster. What needs Slurm is skipped where none runs, or where its plugin is not installed."""

import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from toy import PROJECT, REST, RUNS, Toy, make

sys.path.insert(0, str(PROJECT / "workflow"))

import cluster


def slurm() -> bool:
    """Whether Slurm runs here, and Snakemake can speak to it."""
    if not shutil.which("sinfo") or not importlib.util.find_spec("snakemake_executor_plugin_slurm"):
        return False
    return subprocess.run(["sinfo"], capture_output=True, check=False, timeout=60).returncode == 0


needs_slurm = pytest.mark.skipif(
    "not slurm()", reason="no Slurm runs here, or requirements-cluster.txt is not installed"
)


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of made-up squeue and scancel: what is in `queue` is in the queue until it is cancelled."""
    folder = tmp_path / "commands"
    folder.mkdir()
    (folder / "queue").touch()
    for name, script in (
        ("squeue", f"cat {folder}/queue"),
        ("scancel", f"echo $* > {folder}/said; : > {folder}/queue"),
    ):
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return folder


def test_a_profile_is_a_folder_beside_the_usual_one(tmp_path: Path):
    shutil.copytree(PROJECT / "workflow" / "profiles", tmp_path / "workflow" / "profiles")  # in a path without spaces
    assert cluster.profile(tmp_path, "slurm") == tmp_path / "workflow" / "profiles" / "slurm"
    for name in ("default", "slrum"):
        with pytest.raises(cluster.ClusterError, match=f"PROFILE={name} is not one of: slurm"):
            cluster.profile(tmp_path, name)


def test_a_path_that_jobs_cannot_work_in_is_refused_before_anything_runs(tmp_path: Path):
    shutil.copytree(PROJECT / "workflow" / "profiles", tmp_path / "my copy" / "workflow" / "profiles")
    with pytest.raises(cluster.ClusterError, match=r"with spaces or quotes, such as .*my copy: move it"):
        cluster.profile(tmp_path / "my copy", "slurm")


def test_jobs_of_an_earlier_build_into_the_same_folder_are_cancelled_and_no_others(commands: Path, tmp_path: Path):
    mine, others = cluster.job_name(tmp_path / "results" / "a"), cluster.job_name(tmp_path / "results" / "b")
    (commands / "queue").write_text(f"11 {mine}_1f\n12 {others}_1f\n13 bash\n14 {mine}_2e\n")
    assert cluster.cancel_left(tmp_path / "results" / "a") == 2
    assert (commands / "said").read_text().split() == ["11", "14"]
    assert cluster.cancel_left(tmp_path / "results" / "a") == 0


def test_without_slurm_a_build_says_so_in_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(cluster.ClusterError, match="there is no squeue here"):
        cluster.cancel_left(tmp_path)


def test_what_jobs_say_is_shown_once_and_not_what_earlier_ones_said(tmp_path: Path):
    said = tmp_path / "vae" / "one.said"
    said.parent.mkdir()
    said.write_text("[vae/one] finished in 3 s\n")
    shown = []
    follower = cluster.Follower(tmp_path, shown.append)
    follower.start()
    with said.open("a") as file:
        file.write("[vae/one] started\n")
    (tmp_path / "vae" / "other.said").write_text("[vae/other] started\n")
    follower.stop()
    assert shown == ["[vae/one] started\n", "[vae/other] started\n"]


def test_a_line_is_shown_when_it_is_whole_and_a_file_that_cannot_be_read_hides_no_other(tmp_path: Path):
    folder = tmp_path / "vae"
    folder.mkdir()
    (folder / "a.said").symlink_to(tmp_path / "vanished")
    (folder / "b.said").mkdir()
    said, shown = folder / "c.said", []
    follower = cluster.Follower(tmp_path, shown.append)
    said.write_bytes(b"[vae/c] star")
    follower._look()
    assert shown == []
    said.write_bytes("[vae/c] started: ½".encode()[:-1])  # in the middle of a letter
    follower._look()
    said.write_bytes("[vae/c] started: ½\n[vae/c] ep".encode())
    follower._look()
    (tmp_path / "vanished").write_text("[vae/a] started\n")
    follower._look()
    assert shown == ["[vae/c] started: ½\n", "[vae/a] started\n"]


@pytest.fixture
def on_slurm(tmp_path: Path) -> Toy:
    """A toy project whose runs are jobs."""
    toy = make(tmp_path / "my_próject")
    toy.command += ["--profile", "slurm"]
    return toy


def records(toy: Toy) -> dict[str, dict]:
    """What each run left, but for how many shared the machine with it."""
    left = {run: json.loads((toy.results / run / "metrics.json").read_text()) for run in RUNS}
    return {run: {name: value for name, value in of.items() if "SIDE" not in name} for run, of in left.items()}


def wait_until(true) -> None:
    """Waits, but not for ever."""
    for _ in range(1800):
        if true():
            return
        time.sleep(0.1)
    raise TimeoutError


def jobs(toy: Toy) -> list[str]:
    """The toy's jobs in the queue, of nodes that work at them."""
    command = ["squeue", "--me", "--noheader", "--states=RUNNING", "--format=%A %j %N"]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    return [line for line in lines if cluster.job_name(toy.results) in line]


@needs_slurm
@pytest.mark.slow
def test_as_jobs_the_runs_leave_the_same_and_tell_as_much(on_slurm: Toy, tmp_path: Path):
    code, output, started = on_slurm.build()
    assert (code, started) == (0, RUNS | REST), output
    assert "[alpha/one] epoch 1/1  loss 0.5" in output and "3 of 3 runs done" in output
    here = make(tmp_path / "here")
    assert here.build()[0] == 0
    assert records(on_slurm) == records(here)


@needs_slurm
@pytest.mark.slow
@pytest.mark.parametrize("loss", ["node", "job", "driver"])
def test_a_lost_node_job_or_driver_loses_no_finished_run(on_slurm: Toy, loss: str):
    assert on_slurm.build()[0] == 0
    finished = (on_slurm.results / "alpha" / "two" / "metrics.json").stat().st_mtime_ns
    (on_slurm.results / "alpha" / "one" / "metrics.json").unlink()
    (on_slurm.folder / "wait").touch()
    checkpoint = on_slurm.results / "alpha" / "one" / "checkpoint.safetensors"
    checkpoint.unlink()
    process = on_slurm.start()
    wait_until(checkpoint.exists)
    number, _, node = jobs(on_slurm)[0].split()
    if loss == "driver":
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        assert jobs(on_slurm), "the job goes on without its driver"
        process = on_slurm.start()
        wait_until(lambda: jobs(on_slurm) and jobs(on_slurm)[0].split()[0] != number)
    elif loss == "job":
        subprocess.run(["scancel", number], check=True)
    else:
        down = subprocess.run(["scontrol", "update", f"NodeName={node}", "State=DOWN", "Reason=test"], check=False)
        if down.returncode:
            pytest.skip("only Slurm's own user can take a node down")
    (on_slurm.folder / "wait").unlink()
    output, _ = process.communicate(timeout=600)
    if loss == "node":
        subprocess.run(["scontrol", "update", f"NodeName={node}", "State=RESUME"], check=False)  # if it is not yet
    assert process.returncode == 0, output
    assert (on_slurm.results / "alpha" / "two" / "metrics.json").stat().st_mtime_ns == finished
    assert set(records(on_slurm)) == RUNS and not jobs(on_slurm)
