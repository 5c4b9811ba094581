"""Create calls that may be sent twice: the same key with the same body gets the first answer again."""

import hashlib
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import anyio
import msgspec
from msgspec import Struct

from sandboxes.emulator.errors import ApiError
from sandboxes.emulator.parameters import TextParameter

KEY_PATTERN = re.compile(r"[a-z0-9-]{1,255}")
IDEMPOTENCY_KEY = TextParameter(
    name="Idempotency-Key",
    meaning="A repeated call with the same key and body gets the first answer again; with another body it is a 409.",
    place="header",
    pattern=f"^{KEY_PATTERN.pattern}$",
)
KEYS_KEPT_MAX = 10_000
"""The oldest keys are forgotten beyond this, about 5 MB."""


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """What a key was used for."""

    request_digest: bytes
    answer: bytes


class IdempotentAnswers:
    """Remembers answers by their key."""

    def __init__(self) -> None:
        self._answers: dict[str, StoredAnswer] = {}
        self._being_made: dict[str, anyio.Lock] = {}

    async def answer_once(self, key: str, wish: Struct, *, make: Callable[[], Awaitable[bytes]]) -> bytes:
        """Return the stored answer, or make it; equal calls at the same time wait for the first one.

        What `make` refuses is not stored. Raises `ApiError` (400, 409) for a bad or reused key.
        """
        if not KEY_PATTERN.fullmatch(key):
            raise ApiError(400, f"Idempotency-Key {key!r} is malformed: use 1 to 255 characters of a-z, 0-9 and -")
        turn = self._being_made.setdefault(key, anyio.Lock())
        try:
            async with turn:
                answer = self._recall(key, wish)
                if answer is None:
                    answer = await make()
                    self._store(key, wish, answer=answer)
                return answer
        finally:
            if not turn.statistics().tasks_waiting and not turn.locked():
                self._being_made.pop(key, None)

    def _recall(self, key: str, wish: Struct) -> bytes | None:
        stored = self._answers.get(key)
        if stored is None:
            return None
        if stored.request_digest != digest_request(wish):
            raise ApiError(409, f"Idempotency-Key {key!r} was used for a different request: take a new key")
        return stored.answer

    def _store(self, key: str, wish: Struct, *, answer: bytes) -> None:
        self._answers[key] = StoredAnswer(digest_request(wish), answer)
        if len(self._answers) > KEYS_KEPT_MAX:
            del self._answers[next(iter(self._answers))]


def digest_request(wish: Struct) -> bytes:
    """Return a digest of what is wished: neither the order of the body's fields nor unknown ones make a difference."""
    return hashlib.sha256(msgspec.json.encode(wish, order="sorted")).digest()
