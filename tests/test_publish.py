"""From an executed notebook to HTML and PDF: what must come out, and what must fail with the old files untouched."""

import base64
import io
import re
import subprocess
import sys
from html.parser import HTMLParser

import nbformat
import pandas as pd
import pytest
from matplotlib.figure import Figure
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from PIL import Image

from vaelib.report import exhibits, publish
from vaelib.report.exhibits import PublishError

BIB = "@misc{kingma2014, author={Kingma, D. P. and Welling, M.}, title={Auto-Encoding}, year={2014}}"
TITLE = ("# Two numbers and a $z$\n\nA *subtitle*", "title")
INTRO = (
    "## Introduction {#sec:intro}\nSee @fig:plane, [@tbl:results], @eq:elbo and @sec:method, as in [@kingma2014].\n"
    "It has {{ vae.nll:.1f }} nats in {{ runs }} runs of {{ name }}, or {{ vae.nll }}:\n- a list\n"
)
METHOD = (
    "## Method {#sec:method}\n### Bound\n$$\\mathcal{L} \\le \\log p(\\mathbf{x}) \\odot 1$$ {#eq:elbo}\n"
    "and $z \\sim \\mathcal{N}(0, 1)$."
)
VALUES = {"vae": {"nll": -133.7123}, "runs": 24, "name": "resmlp"}
ALT = 'A line that rises, said "plainly".'


@pytest.fixture
def record(monkeypatch):
    """Call an exhibit function as a cell would and return the outputs it displays."""

    def record(function, *args, **kwargs):
        outputs = []
        monkeypatch.setattr(exhibits, "display", lambda data, raw: outputs.append(new_output("display_data", data)))
        function(*args, **kwargs)
        return outputs

    return record


@pytest.fixture
def figure(record):
    plot = Figure(figsize=(2, 1))
    plot.subplots().plot([0, 1])

    def figure(label="fig:plane", **changes):
        arguments = {"caption": "The plane, {{ runs }} runs [@kingma2014].", "alt": ALT, "source": "results/a_b*c"}
        return record(exhibits.figure, plot, label, **(arguments | changes))

    return figure


@pytest.fixture
def table(record):
    frame = pd.DataFrame(
        {
            "protocol": ["A", "A", "B"],
            "model <b>": ["a|b & [@kingma2014]", "1. mlp", "#conv"],
            "$\\log p$": ["$-135.7 \\pm 0.8$", "-136.1", None],
            "count": [f"{count:,}" for count in (1000, 2000, 3000)],
        }
    )

    def table(label="tbl:results", **changes):
        arguments = {"caption": "All.", "group": "protocol", "note": "A note."}
        return record(exhibits.table, frame, label, **(arguments | changes))

    return table


@pytest.fixture
def build(tmp_path, record):
    """Write a notebook of (markdown, *tags) tuples and code cells, and publish it."""

    def build(*cells, values=VALUES, title=TITLE, banner=None, metadata=None):
        stored = new_code_cell("store_values(...)", outputs=record(exhibits.store_values, values), execution_count=1)
        notebook = new_notebook(cells=[stored], metadata=metadata or {})
        notebook.cells[0].metadata.tags = ["remove"]
        for cell in [title, *cells]:
            if isinstance(cell, str):
                cell = (cell,)
            if isinstance(cell, tuple):
                cell = new_markdown_cell(cell[0], metadata={"tags": list(cell[1:])})
            notebook.cells.append(cell)
        nbformat.write(notebook, tmp_path / "executed.ipynb")
        (tmp_path / "works.bib").write_text(BIB)
        paths = publish.build(tmp_path / "executed.ipynb", tmp_path / "out", tmp_path / "works.bib", banner)
        return paths[0].read_text(encoding="utf-8"), paths[1].read_bytes()

    return build


def code(outputs, *tags, source="shown_code = 1"):
    return new_code_cell(source, outputs=outputs, execution_count=1, metadata={"tags": list(tags)})


def text_of(html):
    """The page's text as a reader sees it, without TeX annotations."""
    html = re.sub(r"<(annotation|script|style)\b.*?</\1>", "", html, flags=re.DOTALL)
    text = re.sub(r"<[^>]+>", "", html).replace("\u00a0", " ").replace("&amp;", "&").replace("&lt;", "<")
    return re.sub(r"\s+", " ", text.replace("&gt;", ">"))


def tags_of(html):
    found = []
    parser = HTMLParser()
    parser.handle_starttag = lambda tag, attributes: found.append((tag, dict(attributes)))
    parser.feed(html)
    return found


def failure(build, *cells, **options):
    with pytest.raises(PublishError) as caught:
        build(*cells, **options)
    return str(caught.value)


@pytest.fixture
def complete(build, figure, table):
    """One report with everything in it."""
    return lambda: build(
        ("## Abstract\nWe reach {{ vae.nll:.1f }} nats (@fig:plane).", "abstract"),
        INTRO, METHOD, code(figure()), code(table(), "hide-input"),
        banner="A smoke build",
        metadata={"author": "A. Student", "date": "{{ runs }} May", "computed": "In {{ runs }} h"},
    )  # fmt: skip


def test_a_complete_report_has_numbers_references_and_loads_nothing(complete):
    html, pdf = complete()
    text, tags = text_of(html), tags_of(html)
    assert "See Figure 1, Table 1, Equation 1 and Section 2, as in (Kingma and Welling 2014)." in text
    assert "It has −133.7 nats in 24 runs of resmlp, or −133.7:" in text  # a minus sign, not a hyphen
    assert (
        "We reach −133.7 nats (Figure 1)." in text and "A. Student" in text and "24 May" in text and "In 24 h" in text
    )
    assert "Figure 1. The plane, 24 runs (Kingma and Welling 2014)." in text and "Run: results/a_b*c" in text
    assert "{{" not in text and "@" not in text and "A smoke build" in text
    assert 'lang="en"' in html and "<math" in html and "<h1>Two numbers" in html and "References" in text
    identifiers = {attributes.get("id") for _, attributes in tags}
    for tag, attributes in tags:
        if tag == "img":
            assert attributes["alt"] == ALT and attributes["src"].startswith("data:image/svg+xml;base64,")
        if tag == "a":
            target = attributes["href"]
            assert target.startswith("https://") or target[1:] in identifiers
        else:
            assert "href" not in attributes and attributes.get("src", "data:").startswith("data:")
    assert not re.search(r"url\(\s*[\"']?(?!data:)|@import", html)
    assert pdf.startswith(b"%PDF-") and len(pdf) > 10_000


def test_tables_are_real_tables_with_scopes_and_escaped_cells(build, table):
    html, _ = build("## A", code(table()))
    assert html.count('scope="col"') == 3 and html.count('scope="row"') == 3 and html.count('scope="rowgroup"') == 2
    text = text_of(html)
    assert "<caption>" in html and "Table 1. All." in text and "A note." in text
    assert "a|b & (Kingma and Welling 2014)" in text and "1. mlp" in text and "#conv" in text
    assert "1,000" in text and "−136.1" in text and "–" in text
    assert html.count("text-align: right") >= 2 * 4  # the two numeric columns, recognised although they are strings


def test_a_value_and_its_interval_stay_on_one_line(build, record):
    cells = record(exhibits.table, pd.DataFrame({"change": ["1.5 ± 0.2"]}), "tbl:a", "A change of 3 ± 1 nats.")
    html, _ = build("## A\nIt is 7\n± 2.", code(cells))
    assert all(value in html for value in ("1.5\u00a0±\u00a00.2", "3\u00a0±\u00a01", "7\u00a0±\u00a02"))


def test_the_runs_under_a_figure_lead_to_their_rows(build, record, figure):
    rows = pd.DataFrame({"run": ["one", "two"]})
    cells = record(exhibits.table, rows, "tbl:runs", "Runs.", runs=["vae/one-seed0", "vae/two"])
    html, _ = build("## A", code(figure(source="vae/one-seed0, vae/other; seed 0")), code(cells))
    assert '<a href="#run:vae/one-seed0">vae/one-seed0</a>, vae/other; seed 0' in re.sub(r"\s+", " ", html)
    assert '<tr id="run:vae/two">' in html


@pytest.mark.parametrize(("columns", "broken"), [(2, False), (7, True)])
def test_heads_break_in_print_where_they_would_take_the_room_of_the_first_column(
    build, record, monkeypatch, columns, broken
):
    sources, typeset = [], publish._typeset
    monkeypatch.setattr(
        publish, "_typeset", lambda work: sources.append((work / "report.typ").read_text()) or typeset(work)
    )
    frame = pd.DataFrame(
        {"model": ["a name of some length"], **{f"a measured value {i}": [1.5] for i in range(columns)}}
    )
    build("## A", code(record(exhibits.table, frame, "tbl:a", "Some.")))
    assert bool(re.search(r"measured\s*\\\s*value", sources[0])) == broken


@pytest.mark.parametrize(("name", "columns"), [("model", ["model", "a"]), (None, ["a"])])
def test_an_index_is_a_column_of_a_table_if_it_has_a_name(record, name, columns):
    frame = pd.DataFrame({"a": [1, 2]}, index=pd.Index([0, 5], name=name))
    shown = record(exhibits.table, frame, "tbl:a", "Some.")[0].data[exhibits.TABLE_MIME]
    assert shown["columns"] == columns and [row[-1] for row in shown["rows"]] == ["1", "2"]


def test_no_printed_table_stands_behind_one_that_is_not(build, record, table):
    first = record(exhibits.table, pd.DataFrame({"a": [1]}), "tbl:first", "One.", runs=["vae/one"])
    assert "tbl:results stands behind a table that is not printed" in failure(build, "## A", code(first), code(table()))


def test_the_same_notebook_gives_the_same_bytes(complete):
    assert complete() == complete()


def test_code_is_folded_in_html_and_tags_hide_cells_inputs_and_outputs(build):
    stream = [new_output("stream", text="a printed line\n")]
    html, _ = build(
        "## A", code([], source="folded = 1"), code([], "hide-input", source="hidden_input = 1"),
        code(stream), code([new_output("stream", text="dropped line")], "hide-output"),
        code([], "injected-parameters", source="injected = 1"), ("removed {{ nothing }}", "remove"),
    )  # fmt: skip
    text = text_of(html)
    assert "folded = 1" in text and "a printed line" in text and '<details class="code"' in html
    for absent in ("hidden_input", "dropped line", "injected", "removed", "store_values"):
        assert absent not in text


def test_an_interactive_figure_is_html_with_an_image_for_the_pdf(build, record, figure, tmp_path):
    plot = Figure(figsize=(1, 1))
    plot.subplots().imshow([[0, 1]])
    widget = "<canvas id='c'></canvas><script>if (1 < 2 && 3 > 2) { document.title; }</script>"
    arguments = {"label": "fig:explorer", "caption": "Explore.", "alt": ALT}
    explorer = record(exhibits.interactive, widget, plot, **arguments)
    html, pdf = build("## A\n@fig:explorer", code(figure()), code(explorer))
    assert "if (1 < 2 && 3 > 2) { document.title; }" in html and html.count("<img") == 1
    assert "Figure 2. Explore." in text_of(html) and pdf.count(b"/Subtype /Image") + pdf.count(b"/Subtype/Image") >= 1


@pytest.mark.parametrize(
    ("draw", "vector"),
    [
        (lambda axes: axes.plot([0, 1]), True),
        (lambda axes: axes.imshow([[0, 1]]), False),
        (lambda axes: axes.scatter(range(1000), range(1000)), False),
    ],
    ids=["lines", "an image", "a cloud of points"],
)
def test_a_chart_is_a_vector_graphic_the_same_whenever_it_is_drawn(record, draw, vector):
    drawn = []
    for _ in range(2):
        draw((plot := Figure(figsize=(2, 1))).subplots())
        drawn.append(record(exhibits.figure, plot, "fig:a", "C", "Alt")[0].data)
    assert ("image/svg+xml" in drawn[0]) == vector and drawn[0] == drawn[1]


def filled(width, height):
    """A figure that is drawn on up to its edges, which therefore keeps its size when it is trimmed."""
    plot = Figure(figsize=(width, height), facecolor="red")
    plot.add_axes((0, 0, 1, 1)).set(xticks=[], yticks=[])
    return plot


def test_a_huge_figure_is_scaled_down_and_keeps_its_size_in_inches(record):
    image, caption = record(exhibits.figure, filled(20, 1), "fig:a", "C", "Alt")
    data = io.BytesIO(base64.b64decode(image.data["image/png"]))
    assert Image.open(data).width == 2000
    assert image.data[exhibits.FIGURE_MIME]["inches"] == pytest.approx(20, abs=0.3)
    assert "**fig:a.** C" in caption.data["text/markdown"]


@pytest.mark.parametrize(("colour", "mode", "pixel"), [("red", "RGB", (255, 0, 0)), ("0.2", "L", 51)])
def test_a_figure_without_colour_is_kept_in_one_channel(record, colour, mode, pixel):
    plot = filled(2, 1)
    plot.axes[0].set_facecolor(colour)
    image = record(exhibits.figure, plot, "fig:a", "C", "Alt")[0]
    picture = Image.open(io.BytesIO(base64.b64decode(image.data["image/png"])))
    assert (picture.mode, picture.getpixel((200, 100))) == (mode, pixel)


def test_a_figure_brings_its_own_alternative_text(record):
    plot = filled(2, 1)
    plot.set_label("What it carries.")
    assert record(exhibits.figure, plot, "fig:a", "C")[0].data[exhibits.FIGURE_MIME]["alt"] == "What it carries."
    with pytest.raises(PublishError, match="has no alt"):
        exhibits.figure(filled(2, 1), "fig:a", "C")


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("{{ vae.nl:.1f }}", r'cell 3 \("\{\{ vae.nl:.1f \}\}"\): unknown placeholder .* close to it: vae.nll'),
        ("{{ name:.1f }}", "placeholder {{ name:.1f }} is 'resmlp': Unknown format code"),
        ("See @fig:nowhere.", "unresolved reference @fig:nowhere"),
        ("See @nobody2020.", "citation nobody2020 not found"),
        ("[link](#nowhere)", "#nowhere"),
        ("## A {#sec:a}\n\n## B {#sec:a}", "sec:a is defined twice"),
        ("$$a$$ {#eq:a}\n\n$$b$$ {#eq:a}", "eq:a is defined twice"),
        ("text {#eq:a}", "does not follow a display equation"),
        ("\\begin{align}a\\end{align}", "bare LaTeX"),
        ("$\\nosuchcommand{a}{b$", "nosuchcommand"),
        ("![](plot.png)", "plot.png stands in a markdown cell"),
        ("# Another title", "sections begin at ##"),
        ('<img src="https://example.org/a.png">', "loads from the network"),
        ("[@kingma2014; @eq:a]\n\n$$a$$ {#eq:a}", "cross-references and citations in one bracket"),
    ],
)  # fmt: skip
def test_a_fault_in_the_text_fails_with_a_message_that_names_it(build, cell, message):
    assert re.search(message if "\\" in message else re.escape(message), failure(build, cell))


def test_faults_in_outputs_fail(build, figure, record):
    error = new_output("error", ename="ValueError", evalue="no such run", traceback=[])
    bare = new_output("display_data", {"image/png": "aaaa", "text/plain": "<Figure>"})
    assert "ended with ValueError: no such run" in failure(build, code([error]))
    assert "use exhibits.figure" in failure(build, code([bare]))
    assert "fig:plane is defined twice" in failure(build, code(figure() + figure()))
    assert "caption of fig:plane: unknown placeholder" in failure(build, code(figure(caption="{{ rums }}")))
    again = record(exhibits.store_values, {"runs": 25})
    assert "stores another value for 'runs'" in failure(build, code(again))
    assert "has no title" in failure(build, "text", title="text")


def test_every_problem_is_listed_at_once_and_the_old_report_stays(build, complete, tmp_path):
    complete()
    old = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    assert set(old) == {"report.html", "report.pdf"}
    message = failure(build, "## A\n{{ unknown }} @fig:nowhere [@nobody2020]")
    assert message.count("\n  - ") == 3
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == old


def test_typst_itself_refuses_an_equation_or_image_without_alternative_text(tmp_path):
    (tmp_path / "report.typ").write_text('#set document(title: "A")\n#set text(lang: "en")\n$ x $')
    assert "missing alt text" in publish._typeset(tmp_path)[0]


@pytest.mark.parametrize(
    ("change", "message"),
    [({"alt": " "}, "has no alt"), ({"caption": ""}, "has no caption"), ({"label": "plane"}, "'fig:'")],
)
def test_a_figure_without_alt_caption_or_label_fails_when_it_is_made(figure, change, message):
    with pytest.raises(PublishError, match=message):
        figure(**change)


def test_a_figure_taller_than_a_page_fails_when_it_is_made_unless_it_is_shown_smaller(record):
    with pytest.raises(PublishError, match=r"fig:a would be 1\d.\d inches tall, and the PDF's page holds 8.4"):
        exhibits.figure(filled(6, 10), "fig:a", "C", "Alt")
    assert record(exhibits.figure, filled(6, 10), "fig:a", "C", "Alt", width="70%")


@pytest.mark.parametrize("change", [{"align": "lr"}, {"align": "lxr"}, {"group": "nothing"}, {"label": "fig:a"}])
def test_a_table_with_a_wrong_argument_fails_when_it_is_made(table, change):
    with pytest.raises(PublishError):
        table(**change)


@pytest.mark.parametrize("values", [{"a": float("nan")}, {"a": None}, {"a:b": 1}, {"a": [1]}])
def test_a_value_that_cannot_stand_in_a_sentence_fails_when_it_is_stored(values):
    with pytest.raises(PublishError):
        exhibits.store_values(values)


def test_the_command_line_prints_the_paths_or_one_message(build, tmp_path, capsys):
    build("## A")
    arguments = [str(tmp_path / "executed.ipynb"), "--out", str(tmp_path / "new")]
    assert publish.main(arguments) == 0
    assert capsys.readouterr().out.split() == [str(tmp_path / "new/report.html"), str(tmp_path / "new/report.pdf")]
    assert publish.main([str(tmp_path / "missing.ipynb"), "--out", str(tmp_path / "new")]) == 1
    captured = capsys.readouterr()
    assert captured.out == "" and "there is no file" in captured.err and "Traceback" not in captured.err


def test_publishing_does_not_import_torch():
    check = "import sys, vaelib.report.publish; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check]).returncode == 0


def test_every_entry_of_the_bibliography_can_be_cited(build, tmp_path):
    keys = re.findall(r"^@\w+\{(\w+),", (publish.REPORT / "references.bib").read_text(encoding="utf-8"), re.MULTILINE)
    build("## A")
    notebook = nbformat.read(tmp_path / "executed.ipynb", 4)
    notebook.cells.append(new_markdown_cell(f"[{'; '.join(f'@{key}' for key in keys)}]"))
    nbformat.write(notebook, tmp_path / "executed.ipynb")
    html = publish.build(tmp_path / "executed.ipynb", tmp_path / "out")[0].read_text(encoding="utf-8")
    assert html.count('class="csl-entry"') == len(keys) == len(set(keys)) >= 21
