"""The project's folder, errors for people, and files that are written whole or not at all."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from safetensors import SafetensorError

PROJECT_ROOT = Path(__file__).resolve().parent.parent


class UserError(Exception):
    """An error for the person at the keyboard: its message says what is wrong and what to do."""

    def _render_traceback_(self) -> list[str]:
        """What IPython prints instead of a traceback, in a notebook and through papermill."""
        return [f"{type(self).__name__}: {self}"]


class RunError(UserError):
    """A run's folder is missing, half-written, or not what its reader needs."""


def resolve(folder: str | Path) -> Path:
    """A path as given if absolute, else below the project: the same for JupyterLab, papermill and make."""
    return PROJECT_ROOT / Path(folder).expanduser()


@contextlib.contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """A temporary path beside `path` that takes its place when the block ends well, and vanishes when not.

    Raises `RunError` when the disk is full or the folder cannot be written.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        temporary.chmod(0o644)  # safetensors writes for the owner alone
        temporary.replace(path)
    except (OSError, SafetensorError) as error:
        reason = getattr(error, "strerror", None) or error
        raise RunError(f"{path} could not be written: {reason}. Nothing was replaced.") from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
