"""Names and secrets the server hands out: sandbox ids in E2B's form, and access tokens."""

import secrets
import string

SANDBOX_ID_ALPHABET = string.ascii_lowercase + string.digits
SANDBOX_ID_RANDOM_LENGTH = 20


def make_sandbox_id() -> str:
    """Return an id like E2B's: `i` and 20 of `[a-z0-9]`, so that it can be part of a host name."""
    return "i" + "".join(secrets.choice(SANDBOX_ID_ALPHABET) for _ in range(SANDBOX_ID_RANDOM_LENGTH))


def make_token() -> str:
    """Return a secret that opens one sandbox."""
    return secrets.token_hex(24)


def tokens_match(expected: str, given: str) -> bool:
    """Compare two secrets in a time that does not tell how much of them agrees."""
    return secrets.compare_digest(expected.encode(), given.encode(errors="surrogatepass"))
