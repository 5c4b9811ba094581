"""gzip on the way in and out, and which of the two forms a client takes (RFC 9110, 12.5.3)."""

import re
import zlib
from collections.abc import AsyncIterator, Iterator

from sandboxes.emulator.errors import ApiError

GZIP_WINDOW = 31
"""zlib's way to say: gzip format, largest window."""
UNPACKED_BYTES_MAX = 256 * 1024
"""How much is unpacked at once, so that a small upload that unpacks to gigabytes does not fill the memory."""
QUALITY = re.compile(r"q=([01](?:\.\d{0,3})?)", re.IGNORECASE)


def accepts_only_gzip(accepted: str) -> bool:
    """Whether to send gzip. Raises `ApiError` (406) if the client takes neither gzip nor plain bytes.

    envd packs for everybody who takes gzip. Nearly every client offers it unasked, and packing costs more than a
    loopback does: here gzip goes to those who name nothing else, as the SDK does when its caller asked.
    """
    qualities = dict(read_qualities(accepted))
    takes_gzip = qualities.get("gzip", qualities.get("*", 0.0)) > 0
    takes_plain = qualities.get("identity", qualities.get("*", 1.0)) > 0
    if not takes_gzip and not takes_plain:
        raise ApiError(406, f"error parsing Accept-Encoding: {accepted!r} allows neither gzip nor identity")
    return takes_gzip and (not takes_plain or set(qualities) == {"gzip"})


def read_qualities(accepted: str) -> Iterator[tuple[str, float]]:
    """Yield each coding that is named and its weight."""
    for item in accepted.split(","):
        coding, _, parameters = item.partition(";")
        if coding.strip():
            match = QUALITY.search(parameters)
            yield coding.strip().lower(), float(match.group(1)) if match else 1.0


async def gunzip(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Unpack a gzipped stream of one or more members. Raises `ApiError` (400) if it is none, or ends too soon."""
    unpacker = zlib.decompressobj(GZIP_WINDOW)
    is_empty = True
    try:
        async for chunk in chunks:
            left = chunk
            while left:
                if unpacker.eof:
                    unpacker = zlib.decompressobj(GZIP_WINDOW)
                yield unpacker.decompress(left, UNPACKED_BYTES_MAX)
                is_empty = False
                left = unpacker.unconsumed_tail or unpacker.unused_data
    except zlib.error as error:
        raise ApiError(400, f"error decompressing request body: {error}") from error
    if is_empty or not unpacker.eof:
        raise ApiError(400, "error decompressing request body: it ends within the gzip data")
