"""Runs inside each kernel, not in the server: the formats E2B adds to what is displayed.

A pandas DataFrame also comes as `e2b/data`, its columns by name; a list or a dict also as JSON. The charts that E2B
reads out of matplotlib's figures (`e2b/chart`) are left out; the figures themselves come as images.
The kernel runs this file by its path: it imports nothing of ours and leaves no name behind.
"""

import json
import math
import sys
from collections.abc import Callable

from IPython.core.formatters import BaseFormatter, JSONFormatter
from IPython.core.interactiveshell import InteractiveShell
from traitlets import ObjectName, Unicode


class DataFormatter(BaseFormatter):
    """Shows a DataFrame as its columns."""

    format_type = Unicode("e2b/data")
    print_method = ObjectName("_repr_e2b_data_")
    _return_type = (dict, str)

    def __call__(self, value: object) -> object:
        # A DataFrame can only be there if the user imported pandas; nobody else shall wait for that.
        pandas = sys.modules.get("pandas")
        if pandas is None or not isinstance(value, pandas.DataFrame):
            return super().__call__(value)
        columns = value.to_dict(orient="list")
        return {str(name): [simplify(cell) for cell in cells] for name, cells in columns.items()}


class StructureFormatter(JSONFormatter):
    """Shows lists and dicts as JSON, if they can be written so."""

    def __call__(self, value: object) -> object:
        if isinstance(value, list | dict):
            try:
                text = json.dumps(value, default=to_plain)
            except (TypeError, ValueError, RecursionError):
                return super().__call__(value)
            return json.loads(text, parse_constant=lambda _name: None), {"expanded": True}
        return super().__call__(value)


def simplify(cell: object) -> object:
    """Return a cell as JSON has it: moments in ISO 8601, what is no number as nothing, the unknown as text."""
    if isinstance(cell, float):
        return cell if math.isfinite(cell) else None
    if cell is None or isinstance(cell, str | int | list | dict):
        return cell
    try:
        return to_plain(cell)
    except TypeError:
        return str(cell)


def to_plain(value: object) -> object:
    """Return a moment as text and numpy's values as Python's. Raises `TypeError` for everything else."""
    for name in ("isoformat", "tolist"):
        convert: Callable[[], object] | None = getattr(value, name, None)
        if convert is not None:
            return convert()
    raise TypeError(f"{type(value).__name__} is not JSON")


def install(shell: InteractiveShell) -> None:
    """Add the formats to a kernel."""
    display = shell.display_formatter
    assert display is not None
    display.formatters["e2b/data"] = DataFormatter(parent=display)
    display.formatters["application/json"] = StructureFormatter(parent=display)
