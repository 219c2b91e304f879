"""Opens copies of the notebooks in JupyterLab: `python workflow/lab.py [JupyterLab's options]`, which `make lab` does.

A notebook that is played with changes: its parameters, its outputs. The originals in notebooks/ are what reports are
computed by and what git keeps, so the copies in playground/ are played with instead, and stay there from day to day.
"""

import json
import os
import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(PROJECT))  # this project's vaelib, wherever another may be installed

from vaelib.files import UserError, atomic  # noqa: E402
from vaelib.sources import digest_of_text  # noqa: E402

COPIED = ".copied.json"  # in the playground: the digest of each original as it was when it was copied
START = "README.md"  # in notebooks/: the page on which JupyterLab opens
SETTINGS = PROJECT / "workflow" / "jupyter"  # JupyterLab's for `make lab` alone: a person's own come before them


def copy(originals: Path, playground: Path) -> list[str]:
    """Brings the playground up to date, and returns lines about the copies that are not as their originals are.

    A copy whose cells say what they said when it was copied follows its original. One that the person has edited stays.
    """
    copied = _read(playground / COPIED)
    edited, outdated = [], []
    for original in [originals / START, *sorted(originals.glob("*.ipynb"))]:
        copy, now = playground / original.name, digest_of_text(original)
        own = _digest(copy)
        if own in (None, copied.get(original.name)) and own != now:
            with atomic(copy) as temporary:
                temporary.write_bytes(original.read_bytes())
            own = now
        if own == now:
            copied[original.name] = now
        else:
            (edited if copied.get(original.name) == now else outdated).append(original.name)
    with atomic(playground / COPIED) as temporary:
        temporary.write_text(json.dumps(copied, indent=1), encoding="utf-8")
    again = "rename or delete yours in playground/ and start again"
    lines = [f"With your own changes: {', '.join(edited)}. To begin afresh, {again}."] if edited else []
    if outdated:
        lines += [f"Yours are kept, but the originals are newer: {', '.join(outdated)}. For the new ones, {again}."]
    return lines


def _read(file: Path) -> dict[str, str]:
    try:
        return dict(json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return {}  # then every copy that differs from its original counts as edited


def _digest(copy: Path) -> str | None:
    """The digest of a copy, of one that is no notebook an empty one, of none None."""
    try:
        return digest_of_text(copy)
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError):
        return ""


def main() -> int:
    """Copies, says what was not copied, and becomes JupyterLab."""
    playground = PROJECT / "playground"
    try:
        lines = copy(PROJECT / "notebooks", playground)
    except (UserError, OSError) as error:
        print(f"No JupyterLab: {error}", file=sys.stderr)
        return 1
    print("JupyterLab opens playground/: copies of the notebooks, yours to change.", *lines, sep="\n", flush=True)
    settings = [str(SETTINGS), *filter(None, [os.environ.get("JUPYTER_CONFIG_PATH")])]
    os.environ["JUPYTER_CONFIG_PATH"] = os.pathsep.join(settings)
    command = [sys.executable, "-m", "jupyterlab", f"--LabApp.default_url=/lab/tree/{START}"]
    os.execv(sys.executable, [*command, f"--ServerApp.root_dir={playground}", *sys.argv[1:]])


if __name__ == "__main__":
    sys.exit(main())
