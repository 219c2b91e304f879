"""The whole way from data to report at the smoke scale, in a copy of the project, by the command that make calls."""

import json
import os
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
import yaml

from vaelib.report.exhibits import FIGURE_MIME
from vaelib.report.publish import EXTERNAL

pytestmark = pytest.mark.slow

PROJECT = Path(__file__).resolve().parent.parent
FEWER = {"vae": ["mlp-continuous-bernoulli"], "augmentation": ["fraction100"]}  # runs left out


def build(folder: Path) -> subprocess.CompletedProcess:
    """Build the smoke report of the project in `folder`, with that folder's own package."""
    command = [sys.executable, "workflow/build.py", "smoke", "--cores", "2"]
    environment = os.environ | {"PYTHONPATH": str(folder), "JUPYTER_PREFER_ENV_PATH": "1"}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project whose smoke report was built, with fewer runs; the data are the checkout's own."""
    folder = tmp_path_factory.mktemp("project")
    for part in ("vaelib", "notebooks", "report", "workflow"):
        ignored = shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints", "build", "published", ".snakemake")
        shutil.copytree(PROJECT / part, folder / part, ignore=ignored)
    (folder / "data").symlink_to(PROJECT / "data")
    file = folder / "workflow" / "scales" / "smoke.yaml"
    scale = yaml.safe_load(file.read_text(encoding="utf-8"))
    for experiment, runs in FEWER.items():
        for run in runs:
            del scale["experiments"][experiment]["runs"][run]
    file.write_text(yaml.safe_dump(scale), encoding="utf-8")
    ended = build(folder)
    assert ended.returncode == 0, ended.stdout[-3000:] + ended.stderr[-3000:]
    return folder


@pytest.fixture(scope="module")
def html(project: Path) -> str:
    return (project / "report/build/smoke/report.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def tags(html: str) -> list[tuple[str, dict[str, str]]]:
    """Every start tag of the page with its attributes."""
    found = []
    parser = HTMLParser()
    parser.handle_starttag = lambda tag, attributes: found.append((tag, dict(attributes)))
    parser.feed(html)
    return found


@pytest.fixture(scope="module")
def text(html: str) -> str:
    """What a reader sees: no tags, no scripts, no TeX annotations, no code."""
    html = re.sub(r"<(annotation|script|style|pre|title)\b.*?</\1>", "", html, flags=re.DOTALL)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", html))


def test_the_page_loads_nothing_from_elsewhere(html, tags):
    assert not EXTERNAL.search(html)
    loads = {"src", "srcset", "data", "poster", "action", "xlink:href"}
    for tag, attributes in tags:
        for name, value in attributes.items():
            if name in loads or (name == "href" and tag in ("link", "use", "image", "base")):
                assert (value or "").startswith(("data:", "#")), (tag, name, value[:80])
    assert not re.search(r"\b(fetch|XMLHttpRequest|importScripts|WebSocket)\b", html)


def test_every_image_says_what_is_to_be_seen(tags):
    images = [attributes for tag, attributes in tags if tag == "img"]
    assert len(images) >= 5
    for attributes in images:
        assert len(attributes.get("alt", "")) > 20 and attributes["src"].startswith("data:image/")


def test_no_reference_placeholder_or_number_is_missing(text, tags):
    assert "??" not in text and "{{" not in text and "}}" not in text
    assert not re.search(r"@(fig|tbl|eq|sec):|\[@|\bnan\b|\binf\b", text)
    targets = {attributes["id"] for _, attributes in tags if "id" in attributes}
    links = {attributes.get("href", "") for tag, attributes in tags if tag == "a"}
    inner = {link[1:] for link in links if link.startswith("#")}
    assert inner and inner <= targets


def test_no_figure_has_letters_below_seven_points_in_print(project):
    cells = json.loads((project / "results/smoke/report/report.ipynb").read_text(encoding="utf-8"))["cells"]
    shown = [output.get("data", {}).get(FIGURE_MIME) for cell in cells for output in cell.get("outputs", [])]
    points = {record["label"]: record["points"] for record in shown if record}
    assert len(points) > 20 and {label: size for label, size in points.items() if 0 < size < 7} == {}


def test_figures_and_tables_are_numbered_one_after_the_other(text):
    for kind in ("Figure", "Table"):
        numbers = [int(number) for number in re.findall(rf"{kind}\s(\d+)\.\s", text)]
        assert numbers and sorted(set(numbers)) == list(range(1, len(set(numbers)) + 1))


def test_the_report_says_that_it_is_a_smoke_test(text):
    assert "Smoke test" in text


def test_the_pdf_is_a_pdf_of_several_pages(project: Path):
    content = (project / "report/build/smoke/report.pdf").read_bytes()
    assert content.startswith(b"%PDF") and content.rstrip().endswith(b"%%EOF") and len(content) > 100_000


def test_a_second_build_runs_nothing(project: Path):
    pages = [project / "report/build/smoke" / f"report.{kind}" for kind in ("html", "pdf")]
    before = [page.stat().st_mtime_ns for page in pages]
    ended = build(project)
    assert ended.returncode == 0 and "started" not in ended.stdout and "Up to date after" in ended.stdout
    assert [page.stat().st_mtime_ns for page in pages] == before
