"""Which code runs here: a content hash over everything that enters a sandbox.

The coordinator compares it with its own, so that a stale template cannot trade unnoticed.
"""

from functools import cache
from hashlib import blake2b
from importlib.util import find_spec
from pathlib import Path

PACKAGES = ("strategies", "topologies", "workers")


@cache
def code_revision() -> str:
    """Hash the source files of the packages that run in a sandbox, in the order of their names."""
    digest = blake2b(digest_size=8)
    for package in PACKAGES:
        spec = find_spec(package)
        if spec is None or spec.origin is None:
            raise ModuleNotFoundError(f"package {package} has no files here; install e2b-swarm in the sandbox")
        root = Path(spec.origin).parent
        for path in sorted(root.rglob("*.py")):
            digest.update(f"{package}/{path.relative_to(root).as_posix()}\x00".encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()
