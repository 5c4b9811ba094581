"""The languages of cells: how clients spell them, and which of E2B's run here."""

import enum
import importlib.util

from sandboxes.emulator.interpreter.errors import InterpreterError

SPELLINGS = {"js": "javascript", "ts": "typescript"}
PYTHON_PACKAGES = ("ipykernel", "jupyter_client")


class Language(enum.StrEnum):
    """A language that runs here."""

    PYTHON = "python"
    BASH = "bash"


def choose_language(wish: str | None) -> Language:
    """Return the language a client means; Python if it names none. Raises `InterpreterError` (501)."""
    name = (wish or Language.PYTHON).strip().lower()
    try:
        language = Language(SPELLINGS.get(name, name))
    except ValueError:
        known = " and ".join(Language)
        message = f"language {name!r} does not run in the embedded server, which has {known}: use E2B itself"
        raise InterpreterError(501, message) from None
    if language is Language.PYTHON:
        require_jupyter()
    return language


def require_jupyter() -> None:
    """Raise `InterpreterError` (501) if the packages that Python contexts are made of are not installed."""
    missing = [name for name in PYTHON_PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        message = f"the code interpreter needs {' and '.join(missing)}: pip install {' '.join(PYTHON_PACKAGES)}"
        raise InterpreterError(501, message)
