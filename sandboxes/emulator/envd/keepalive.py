"""How often an idle stream shows that it lives, so that nothing on the way takes it for dead."""

import re

from aiohttp import web

KEEPALIVE_S = 90.0
"""envd's interval, unless the client asks for another."""


def read_keepalive_s(request: web.BaseRequest) -> float:
    """Return how long an idle stream may be silent, as the client asks in `Keepalive-Ping-Interval`."""
    text = request.headers.get("Keepalive-Ping-Interval", "")
    return float(text) if re.fullmatch("[1-9][0-9]{0,8}", text) else KEEPALIVE_S
