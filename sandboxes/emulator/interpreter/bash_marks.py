"""Tells in a shell's output where one cell ends and the next begins.

After each cell the shell prints a mark on both of its streams: a control character, a secret, the cell's number, its
exit status, and the control character again.
"""

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass

FENCE = b"\x1e"
"""ASCII's record separator."""


@dataclass(frozen=True, slots=True)
class Mark:
    """The end of a cell on one stream."""

    number: int
    status: int


class MarkedStream:
    """Splits one stream into text and marks, however it is cut into pieces."""

    def __init__(self, secret: str) -> None:
        self._pattern = re.compile(FENCE + secret.encode() + rb":(\d{1,9}) (\d{1,3})" + FENCE)
        self._mark_bytes_max = len(secret) + len(":123456789 255") + 2 * len(FENCE)
        self._left = b""
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def feed(self, data: bytes) -> Iterator[str | Mark]:
        """Yield what a further piece brings; what may be the beginning of a mark waits for the next."""
        data = self._left + data
        begin = 0
        for found in self._pattern.finditer(data):
            yield from self._decode(data[begin : found.start()], is_whole=True)
            yield Mark(int(found.group(1)), int(found.group(2)))
            begin = found.end()
        fence = data.rfind(FENCE, begin)
        is_held = fence >= 0 and len(data) - fence < self._mark_bytes_max
        end = fence if is_held else len(data)
        self._left = data[end:]
        yield from self._decode(data[begin:end], is_whole=False)

    def _decode(self, data: bytes, *, is_whole: bool) -> Iterator[str]:
        text = self._decoder.decode(data, is_whole)
        if is_whole:
            self._decoder.reset()
        if text:
            yield text
