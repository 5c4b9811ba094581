"""The flags of `deploy`, with the words that `--help` shows.

Values arrive as text where the spec checks them: so that a wrong one is answered in one line, from one place.
"""

from pathlib import Path
from typing import Annotated

import typer

Topology = Annotated[str | None, typer.Option(help="mesh, hierarchical, ring or star.", metavar="T")]
Agents = Annotated[str | None, typer.Option(help="How many workers, 2 to 200.", metavar="N", show_default="5")]
Strategy = Annotated[
    list[str] | None,
    typer.Option(
        help="momentum, mean_reversion, or a .py file with one Strategy class; repeat to mix.",
        metavar="NAME|FILE.py",
        show_default="momentum",
    ),
]
Symbols = Annotated[
    str | None,
    typer.Option(help="What to trade.", metavar="A,B,..", show_default="AAPL,GOOG,IBM,MSFT, or all of --data"),
]
Ticks = Annotated[
    str | None, typer.Option(help="Market ticks to replay, the last there are.", metavar="N", show_default="250")
]
Data = Annotated[
    Path | None, typer.Option(help="Your own prices instead of the bundled ones.", metavar="FILE.csv|.parquet")
]
Mode = Annotated[
    str | None,
    typer.Option(
        help="mock (in virtual time), local (real processes, no account) or live (E2B).",
        metavar="MODE",
        show_default="local",
    ),
]
Distribution = Annotated[
    str | None,
    typer.Option(
        help="Hierarchy and star: round-robin, least-loaded, specialized, consensus or adaptive.",
        metavar="STRATEGY",
        show_default="by topology",
    ),
]
Voting = Annotated[
    str | None,
    typer.Option(
        help="What a direction needs: weighted, majority, supermajority or unanimous.",
        metavar="RULE",
        show_default="weighted",
    ),
]
RiskStrategy = Annotated[
    list[str] | None,
    typer.Option(help="A strategy of the swarm that may only forbid positions (a veto); repeatable.", metavar="NAME"),
]
Seed = Annotated[str | None, typer.Option(help="Feeds every random choice.", metavar="N", show_default="0")]
Pace = Annotated[
    str | None, typer.Option(help="Seconds per tick; 0 is as fast as possible.", metavar="SECONDS", show_default="0")
]
Name = Annotated[
    str | None,
    typer.Option(help="What to call the swarm.", metavar="NAME", show_default="topology and a random suffix"),
]
Spec = Annotated[Path | None, typer.Option(help="TOML file of the same fields; a flag wins over it.", metavar="FILE")]
Chaos = Annotated[
    str | None,
    typer.Option(
        help="What is to go wrong on purpose: KIND:WHO@WHEN, several separated by ';', or a TOML file with them "
        "(faults = [...]); in mock mode also default, harsh or a TOML file of rates. "
        "KIND is kill, stop, vanish, cpu, memory, drop, delay or partition; WHO is an agent, a role "
        "(hub, spoke, root, deputy, leader, worker, stage, peer) or random; WHEN is round=N or a time like 2s.",
        metavar="PLAN",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout and nothing else.")]
