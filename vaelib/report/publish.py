"""From an executed report notebook to one offline HTML file and one PDF.

    executed.ipynb --ReportExporter: the preprocessors below--> pandoc markdown and PNG files
                   --pandoc, report/filter.lua, citeproc-->     report.html
                   --the same with -t typst, then typst-->      report.pdf

The notebook is never run here: all numbers, figures and tables come from its stored outputs. Every problem found
(an error in a cell, an unknown placeholder, an unresolved reference or citation, an image without alternative text)
is reported at once in one `PublishError`, and then the previous report stays as it was.

    python -m vaelib.report.publish EXECUTED.ipynb --out report/build/standard [--banner TEXT] [--bibliography FILE]
"""

import argparse
import base64
import difflib
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import nbformat
import pypandoc
import typst
from nbconvert.exporters import MarkdownExporter
from nbconvert.preprocessors import Preprocessor, TagRemovePreprocessor
from nbformat import NotebookNode
from traitlets import List
from traitlets.config import Config

from vaelib import classes
from vaelib.files import PROJECT_ROOT
from vaelib.report.exhibits import CAPTION_MIME, FIGURE_MIME, SVG, TABLE_MIME, VALUES_MIME, PublishError, format_value

REPORT = PROJECT_ROOT / "report"
FENCE = "~" * 12  # around an exhibit in markdown
# Pandoc's markdown, brought nearer to what JupyterLab shows: lists and headings need no blank line before them, a
# lone ~ or ^ is a character, and a rule of dashes at the top of a cell does not begin YAML metadata.
READER = (
    "markdown+lists_without_preceding_blankline-blank_before_header-blank_before_blockquote"
    "-subscript-superscript-yaml_metadata_block+autolink_bare_uris"
)
EXTERNAL = re.compile(
    r"<(?:script|img|iframe|link|source|video|audio|embed|object|image|use)\b[^>]*\b(?:src|srcset|href|data)\s*=\s*"
    r"[\"']?\s*(?:https?:)?//[^\"'>\s]*|(?:url\(|@import)\s*[\"']?\s*(?:https?:)?//[^\"')\s]*",
    re.IGNORECASE,
)
HTML_OPTIONS = (
    "--template", str(REPORT / "template.html"), "--css", str(REPORT / "style.css"),
    "--mathml", "--toc", "--toc-depth=3", "--embed-resources",
)  # fmt: skip
TYPST_OPTIONS = ("--template", str(REPORT / "template.typ"), "--wrap=none")


class CheckCells(Preprocessor):
    """Name every cell for later messages, collect the stored values, find errors, bare images and network loads."""

    def preprocess(self, nb: NotebookNode, resources: dict) -> tuple[NotebookNode, dict]:
        """Leave `cell.metadata.where`, such as `cell 7 ("## Results")`, and fill `resources`: problems, values."""
        code = [cell for cell in nb.cells if cell.cell_type == "code"]
        if code and not any(cell.execution_count or cell.outputs for cell in code):
            resources["problems"].append("the notebook has not been executed")
        for number, cell in enumerate(nb.cells, start=1):
            first_line = (cell.source.strip().splitlines() or [""])[0][:60]
            cell.metadata.where = f'cell {number} ("{first_line}")'
            texts = [cell.source] if cell.cell_type == "markdown" else []
            found = []
            for output in cell.get("outputs", []):
                data = output.get("data", {})
                texts += [data.get("text/html", ""), data.get("text/markdown", "")]
                if output.output_type == "error":
                    found.append(f"ended with {output.ename}: {output.evalue}")
                if any(mime.startswith("image/") for mime in data) and FIGURE_MIME not in data:
                    found.append("shows an image without caption or alternative text: use exhibits.figure")
                for name, value in data.get(VALUES_MIME, {}).items():
                    if resources["values"].setdefault(name, value) != value:
                        found.append(f"stores another value for {name!r} than a cell before it")
            found += [f"loads from the network: {match[0]}" for text in texts for match in EXTERNAL.finditer(text)]
            resources["problems"] += [f"{cell.metadata.where} {text}" for text in found]
        return nb, resources


class FillPlaceholders(Preprocessor):
    """Replace `{{ name }}` and `{{ name:.1f }}` in markdown cells, captions, notes and the front matter."""

    fields = List(["caption", "note", "alt", "source"], help="filled in figures and tables").tag(config=True)

    def preprocess(self, nb: NotebookNode, resources: dict) -> tuple[NotebookNode, dict]:
        """Fill from `resources["values"]`; the notebook's front matter goes to `resources["front_matter"]`."""
        classes.about(resources["values"].get("dataset", classes.USUAL))
        for cell in nb.cells:
            if cell.cell_type == "markdown":
                cell.source = self.fill(cell.source, cell.metadata.where, resources)
            for data in (output.get("data", {}) for output in cell.get("outputs", [])):
                for record in (data[mime] for mime in (FIGURE_MIME, TABLE_MIME) if mime in data):
                    for field in (field for field in self.fields if record.get(field)):
                        where = f"{cell.metadata.where}, {field} of {record['label']}"
                        record[field] = self.fill(record[field], where, resources)
        resources["front_matter"] = {
            key: self.fill(str(nb.metadata[key]), f"notebook metadata {key!r}", resources)
            for key in ("title", "author", "date", "computed", "lang")
            if key in nb.metadata
        }
        return nb, resources

    def fill(self, text: str, where: str, resources: dict) -> str:
        """Fill one text; an unknown name or an unfit format becomes a problem of the cell named by `where`."""
        values = resources["values"]

        def replace(match: re.Match) -> str:
            name, _, spec = (part.strip() for part in match[1].partition(":"))
            if name not in values:
                close = difflib.get_close_matches(name, values, n=3)
                hint = f"close to it: {', '.join(close)}" if close else f"nothing like it among {len(values)} values"
                resources["problems"].append(f"{where}: unknown placeholder {match[0]}; {hint}")
                return name
            try:
                return format_value(values[name], spec)
            except ValueError as error:
                resources["problems"].append(f"{where}: placeholder {match[0]} is {values[name]!r}: {error}")
                return name

        return classes.reword(re.sub(r"\{\{([^{}]*)\}\}", replace, text))


class WriteExhibits(Preprocessor):
    """Turn figure and table outputs into JSON blocks for the Lua filter, and their images into files."""

    def preprocess_cell(self, cell: NotebookNode, resources: dict, index: int) -> tuple[NotebookNode, dict]:
        """Replace a cell's exhibits by text/markdown; drop what is meant for JupyterLab alone."""
        kept = []
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if VALUES_MIME in data or CAPTION_MIME in data:
                continue
            record = dict(data.get(FIGURE_MIME) or data.get(TABLE_MIME) or {})
            if FIGURE_MIME in data:
                vector = data.get(SVG, "").encode()
                record["file"] = f"{len(resources['images'])}.{'svg' if vector else 'png'}"
                resources["images"][record["file"]] = vector or base64.b64decode(data["image/png"])
                if record.get("interactive"):
                    record["html"] = data["text/html"]
            if record:
                output.data = {"text/markdown": f"{FENCE} {{.vaelib-exhibit}}\n{json.dumps(record)}\n{FENCE}"}
            kept.append(output)
        if cell.cell_type == "code":
            cell.outputs = kept
        return cell, resources


class ReportExporter(MarkdownExporter):
    """Executed notebook -> pandoc markdown; `resources` holds its images, front matter and problems."""

    def __init__(self, **kwargs: Any):
        super().__init__(
            raw_template=(REPORT / "cells.md.j2").read_text(encoding="utf-8"),
            default_preprocessors=[],
            preprocessors=[CheckCells, TagRemovePreprocessor, FillPlaceholders, WriteExhibits],  # in this order
            **kwargs,
        )

    @property
    def default_config(self) -> Config:
        """Which tags remove what, and which form of an output is published."""
        config = super().default_config
        config.NbConvertBase.display_data_priority = ["text/markdown", "text/plain"]
        config.TagRemovePreprocessor.remove_cell_tags = {"remove", "parameters", "injected-parameters"}
        config.TagRemovePreprocessor.remove_input_tags = {"hide-input"}
        config.TagRemovePreprocessor.remove_all_outputs_tags = {"hide-output"}
        return config


def build(
    notebook: str | Path, out: str | Path, bibliography: str | Path = REPORT / "references.bib",
    banner: str | None = None,
) -> tuple[Path, Path]:  # fmt: skip
    """Publish an executed notebook as `out/report.html` and `out/report.pdf` and return the two paths.

    `banner` is a line shown on top of both. Raises `PublishError` with every problem found; the files of an earlier
    build are replaced only when both new ones are finished.
    """
    notebook, out, bibliography = Path(notebook), Path(out), Path(bibliography).resolve()
    for needed in (notebook, bibliography):
        if not needed.is_file():
            raise PublishError(f"there is no file {needed}.")
    resources: dict[str, Any] = {"problems": [], "values": {}, "images": {}}
    markdown, resources = ReportExporter().from_notebook_node(nbformat.read(notebook, as_version=4), resources)
    metadata = {"lang": "en", "link-citations": True} | resources["front_matter"] | {"banner": banner}

    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out, prefix=".building-") as folder:  # beside the target: a move is a rename
        work = Path(folder)
        for name, data in resources["images"].items():
            (work / name).write_bytes(data)
        (work / "metadata.json").write_text(json.dumps(metadata), encoding="utf-8")
        problems = list(resources["problems"])
        problems += _pandoc(markdown, work, bibliography, "html5", "report.html", *HTML_OPTIONS)
        if not problems:  # the same filter reads the same text for the PDF: it would only repeat them
            problems += _pandoc(markdown, work, bibliography, "typst", "report.typ", *TYPST_OPTIONS)
        problems = problems or _typeset(work)
        if problems:
            listed = "".join(f"\n  - {problem}" for problem in dict.fromkeys(problems))
            raise PublishError(f"{notebook} cannot be published:{listed}")
        for name in ("report.html", "report.pdf"):
            (work / name).replace(out / name)
    return out / "report.html", out / "report.pdf"


def _pandoc(markdown: str, work: Path, bibliography: Path, to: str, output: str, *options: str) -> list[str]:
    """Write one format and return what pandoc, citeproc and the Lua filter complained of."""
    command = [
        pypandoc.get_pandoc_path(), "--standalone", "--from", READER, "--to", to, "--output", output,
        "--metadata-file", "metadata.json", "--lua-filter", str(REPORT / "filter.lua"),  # before citeproc: it takes
        "--citeproc", "--bibliography", str(bibliography), *options,  # @fig:x for a citation
    ]  # fmt: skip
    run = subprocess.run(command, input=markdown, capture_output=True, text=True, encoding="utf-8", cwd=work)
    complaints = re.split(r"^\[WARNING\] ", run.stderr, flags=re.MULTILINE)
    complaints = [" ".join(text.split()) for text in complaints if text.strip()]
    return complaints + ([f"pandoc ended with exit status {run.returncode}"] if run.returncode else [])


def _typeset(work: Path) -> list[str]:
    """report.typ -> report.pdf. PDF/UA-1 makes typst refuse figures and equations without alternative text."""
    try:
        typst.compile(
            work / "report.typ", output=work / "report.pdf", root=work, ignore_system_fonts=True,
            pdf_standards="ua-1", timestamp=0,  # no clock, no local fonts: the same input gives the same bytes
        )  # fmt: skip
    except typst.TypstError as error:
        return [f"typst: {error.diagnostic or error.message}"]
    return []


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; a `PublishError` is one message and exit status 1."""
    parser = argparse.ArgumentParser(prog="python -m vaelib.report.publish", description=__doc__.splitlines()[0])
    parser.add_argument("notebook", type=Path, help="an executed report notebook")
    parser.add_argument("--out", type=Path, required=True, help="folder for report.html and report.pdf")
    parser.add_argument("--banner", help="a line shown on top of both, such as a warning that this is a smoke build")
    parser.add_argument("--bibliography", type=Path, default=REPORT / "references.bib", help="a BibTeX file")
    options = parser.parse_args(arguments)
    try:
        paths = build(options.notebook, options.out, options.bibliography, options.banner)
    except PublishError as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 1
    print(*paths, sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
