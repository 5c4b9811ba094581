"""The flags of `deploy`, with the words that `--help` shows.

Values arrive as text where the spec checks them: so that a wrong one is answered in one line, from one place.
"""

from pathlib import Path
from typing import Annotated

import typer

Topology = Annotated[str | None, typer.Option(help="mesh, hierarchical, ring or star.")]
Agents = Annotated[str | None, typer.Option(help="How many workers, 2 to 200. [default: 5]")]
Strategy = Annotated[
    list[str] | None,
    typer.Option(
        help="momentum, mean_reversion, or a .py file with one Strategy class; repeat to mix. [default: momentum]"
    ),
]
Symbols = Annotated[str | None, typer.Option(help="A,B,... [default: AAPL,GOOG,IBM,MSFT, or all of --data]")]
Ticks = Annotated[str | None, typer.Option(help="Market ticks to replay, the last there are. [default: 250]")]
Data = Annotated[Path | None, typer.Option(help="Your own prices, .csv or .parquet, instead of the bundled ones.")]
Mode = Annotated[
    str | None, typer.Option(help="mock (virtual time), local (real processes) or live (E2B). [default: local]")
]
Seed = Annotated[str | None, typer.Option(help="Feeds every random choice. [default: 0]")]
Pace = Annotated[str | None, typer.Option(help="Seconds per tick; 0 is as fast as possible. [default: 0]")]
Name = Annotated[str | None, typer.Option(help="What to call the swarm. [default: topology and a suffix]")]
Spec = Annotated[Path | None, typer.Option(help="TOML file of the same fields; a flag wins over it.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout and nothing else.")]
