"""What the report notebook shows: values for its prose, numbered figures, tables and interactive figures.

Each function displays something readable in JupyterLab and, beside it, a JSON record that `vaelib.report.publish` turns
into a numbered exhibit of the HTML file and of the PDF. Captions, notes and table cells are pandoc markdown on one
line: `$math$`, `[@citations]`, `@fig:references` and `{{ placeholders }}` (the last not in table cells) work in them.
"""

import base64
import io
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd
from IPython.display import display

from vaelib.files import UserError

VALUES_MIME = "application/vnd.vaelib.values+json"
FIGURE_MIME = "application/vnd.vaelib.figure+json"
TABLE_MIME = "application/vnd.vaelib.table+json"
CAPTION_MIME = "application/vnd.vaelib.caption+json"  # marks a caption shown for JupyterLab: not published

DPI = 200
TEXT_WIDTH = 6.3  # inches on the PDF's page, as in report/filter.lua, which scales figures by the same rule
TALLEST = 8.4  # inches: the height of a page's text less that of a caption
SVG = "image/svg+xml"
MOST_POINTS = 500  # of a scatter in a chart
MAX_PIXELS = 2000  # 300 dots an inch across the text of an A4 page: more only makes the files heavier
NUMBER = re.compile(r"^[\s$*(~≈<>≤≥]*(\\approx|\\sim)?\s*[-−+]?\d")  # how a cell of a numeric column begins


class PublishError(UserError):
    """The report cannot be published as it is: the message lists everything that has to change."""


def store_values(values: Mapping[str, Any]) -> None:
    """Make numbers and strings available to `{{ name }}` and `{{ name:.1f }}` in the report's text and captions.

    Nested mappings are flattened with dots: `{"aevb": {"elbo": -139.6}}` is written `{{ aevb.elbo }}`. Several calls
    merge. Raises `PublishError` for a value that is no string, truth value or finite number, or a name with `:{}`.
    """
    flat = dict(_flatten(values))
    for name, value in flat.items():
        if re.search(r"[:{}\s]", name):
            raise PublishError(f"value name {name!r}: a placeholder's name has no space, colon or brace.")
        if not isinstance(value, str | int | float) or (isinstance(value, float) and not math.isfinite(value)):
            raise PublishError(f"value {name!r} is {value!r}: store a string or a finite number.")
    text = "\n".join(f"{name} = {value}" for name, value in flat.items())
    display({VALUES_MIME: flat, "text/plain": text}, raw=True)


def figure(
    figure: Any, label: str, caption: str, alt: str | None = None, source: str | None = None, width: str | None = None
) -> None:
    """Show a Matplotlib `Figure` (which is closed) as a numbered figure.

    `label` is `fig:...`; `alt` says in a plain sentence or two what is to be seen, for those who cannot see it, and
    is by default what the figure carries as its label; `source` names the runs behind the figure; `width` is a share
    of the text's width such as "70%", by default the figure's own size. Raises `PublishError` for a bad label, a
    missing caption or alternative text, or a figure that is too tall for a page.
    """
    alt = _required("alt", alt or figure.get_label(), label)
    record = _record("fig:", label, caption, source) | {"alt": alt, "width": width}
    drawn, size = _drawn(figure, label, width)
    display({**drawn, FIGURE_MIME: record | size, "text/plain": alt}, raw=True)
    _show_caption(record)


def interactive(
    html: str, fallback_figure: Any, label: str, caption: str, alt: str,
    source: str | None = None, width: str | None = None,
) -> None:  # fmt: skip
    """Show an HTML fragment with its scripts and data inside; the PDF gets `fallback_figure` under the same number.

    The fragment must load nothing from outside. The rest is as for `figure`.
    """
    record = _record("fig:", label, caption, source) | {"alt": _required("alt", alt, label), "width": width}
    drawn, size = _drawn(fallback_figure, label, width)
    record |= size | {"interactive": True}
    display({"text/html": html, **drawn, FIGURE_MIME: record, "text/plain": alt}, raw=True)
    _show_caption(record)


def table(
    frame: pd.DataFrame, label: str, caption: str, source: str | None = None, note: str | None = None,
    align: str | None = None, group: str | None = None, runs: Sequence[str] | None = None,
) -> None:  # fmt: skip
    """Show a DataFrame as a numbered table; a named index becomes its first columns, missing cells a dash.

    Cells that are strings are inline markdown (bold, math, citations); numbers are as `format_value` gives them.
    `align` has one of l, c, r a column shown, by default right for numbers. `group` names a column whose values become
    bold section rows (rows are taken in the order given) instead of a column. `note` is a line under the table. With
    `runs`, a name for each row, the lines on runs under other exhibits lead to the rows of these names, and the table
    is in the HTML file alone, behind all other ones.
    Raises `PublishError` for a bad label, caption, align or column.
    """
    record = _record("tbl:", label, caption, source) | {"note": note}
    frame = frame.reset_index(drop=all(name is None for name in frame.index.names))
    if group and group not in frame.columns:
        raise PublishError(f"{label}: no column {[group]}; there are {list(frame.columns)}.")
    cells = pd.DataFrame({name: [_cell(value) for value in frame[name]] for name in frame})
    groups = list(cells.pop(group)) if group else None
    if align is None:
        numeric = [all(NUMBER.match(cell) or cell == "–" for cell in cells[name]) for name in cells]
        align = "".join("r" if right else "l" for right in numeric)
    if len(align) != len(cells.columns) or set(align) - set("lcr"):
        raise PublishError(f"{label}: align={align!r} must have one of l, c, r for each of {list(cells.columns)}.")
    record |= {"columns": [str(name) for name in cells], "align": align}
    record |= {
        "rows": cells.to_numpy().tolist(),
        "groups": groups,
        "runs": [] if runs is None else list(runs),
        "printed": runs is None,
    }
    html = frame.to_html(index=False)
    display({"text/html": html, TABLE_MIME: record, "text/plain": frame.to_string(index=False)}, raw=True)
    _show_caption(record)


def _flatten(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{prefix}{name}.")
        else:  # numpy's and torch's scalars become Python's
            yield f"{prefix}{name}", value.item() if hasattr(value, "item") else value


def _record(prefix: str, label: str, caption: str, source: str | None) -> dict[str, Any]:
    if not re.fullmatch(prefix + r"[\w-]+", label):
        raise PublishError(f"label {label!r} must be {prefix!r} and a name of letters, digits, _ and -.")
    return {"label": label, "caption": _required("caption", caption, label), "source": source}


def _required(what: str, text: str | None, label: str) -> str:
    if not (text or "").strip():
        raise PublishError(f"{label} has no {what}: say in {what}=... what a reader who cannot see it should know.")
    return " ".join(text.split())


def _drawn(figure: Any, label: str, width: str | None) -> tuple[dict[str, str], dict[str, float]]:
    """The figure as base64 PNG, a chart as SVG too; its natural width in inches, its height as a multiple of that.

    Beside them the size in points that its smallest letters have in print, 0 where it has none.
    """
    from matplotlib import pyplot  # here: a build from an executed notebook needs neither
    from PIL import Image

    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI, bbox_inches="tight", facecolor="white")
    vector = {SVG: _svg(figure)} if _is_chart(figure) else {}
    pyplot.close(figure)  # else the notebook would show it a second time, without a caption
    with Image.open(buffer) as picture:
        size = {"inches": round(picture.width / DPI, 2), "aspect": round(picture.height / picture.width, 4)}
        printed = float(width.rstrip("%")) / 100 * TEXT_WIDTH if width else min(size["inches"], TEXT_WIDTH)
        size["points"] = round(_smallest_letters(figure) * printed / size["inches"], 1)
        if (height := printed * size["aspect"]) > TALLEST:
            raise PublishError(f"{label} would be {height:.1f} inches tall, and the PDF's page holds {TALLEST}.")
        picture = _plain(picture)
        if picture.width > MAX_PIXELS:
            shape = (MAX_PIXELS, round(picture.height * MAX_PIXELS / picture.width))
            picture = picture.resize(shape, Image.Resampling.LANCZOS)
        buffer = io.BytesIO()
        picture.save(buffer, "PNG", optimize=True)
    return {"image/png": base64.b64encode(buffer.getvalue()).decode(), **vector}, size


def _plain(picture: Any) -> Any:
    """A picture without its alpha channel, and with a single one where it has no colour: about half the bytes."""
    opaque = picture.convert("RGB")
    red, green, blue = opaque.split()
    return red if red.tobytes() == green.tobytes() == blue.tobytes() else opaque


def _smallest_letters(figure: Any) -> float:
    """The size of a figure's smallest letters in points, as drawn; an index in a formula may be smaller still."""
    from matplotlib.text import Text

    shown = (text for text in figure.findobj(Text) if text.get_visible() and text.get_text().strip())
    return min((text.get_fontsize() for text in shown), default=0.0)


def _is_chart(figure: Any) -> bool:
    """Whether a figure is all lines and letters: no image in it, and no cloud of more points than a page can bear."""
    from matplotlib.collections import PathCollection
    from matplotlib.image import AxesImage

    clouds = figure.findobj(PathCollection)
    return not figure.findobj(AxesImage) and all(len(cloud.get_offsets()) <= MOST_POINTS for cloud in clouds)


def _svg(figure: Any) -> str:
    """The figure as SVG, the same text whenever it is drawn; letters are outlines, so that no font is asked for."""
    import matplotlib

    buffer = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": "vaelib", "svg.fonttype": "path"}):
        figure.savefig(buffer, format="svg", bbox_inches="tight", facecolor="white", metadata={"Date": None})
    return buffer.getvalue()


def format_value(value: str | int | float, spec: str = "") -> str:
    """A value by its format, or as a reader likes it: four significant digits, none after the point from 1,000."""
    if isinstance(value, float) and not spec:
        spec = ",.0f" if abs(value) >= 1000 else ".4g"
    return format(value, spec)


def _cell(value: Any) -> str:
    value = value.item() if hasattr(value, "item") else value
    if pd.isna(value):
        return "–"
    return value if isinstance(value, str) else format_value(value, "")


def _show_caption(record: Mapping[str, Any]) -> None:
    lines = [f"**{record['label']}.** {record['caption']}", record.get("note")]
    lines += [f"<small>Run: {record['source']}</small>"] if record["source"] else []
    text = "\n\n".join(line for line in lines if line)
    display({"text/markdown": text, "text/plain": text, CAPTION_MIME: {}}, raw=True)
