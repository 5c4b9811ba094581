"""What an image means where there are no containers: this machine's own environment, and only for images it is like."""

import platform
import re

from sandboxes.emulator.errors import EmulatorError

IMAGE_PATTERN = re.compile(
    r"(?:(?:docker\.io|index\.docker\.io)/)?(?:library/)?"
    r"(?P<name>python|debian|ubuntu|e2bdev/base|e2bdev/code-interpreter)"
    r"(?::(?P<tag>[\w.-]+))?(?:@sha256:[0-9a-f]{64})?"
)
PYTHON_VERSION = re.compile(r"\d+(?:\.\d+)*")


class ImageRefused(EmulatorError):
    """A build begins from an image that this machine cannot stand in for."""


def describe_image(image: str) -> list[str]:
    """Return what to tell a builder about an image, plainly. Raises `ImageRefused`."""
    match = IMAGE_PATTERN.fullmatch(image.strip())
    if match is None:
        raise ImageRefused(
            f"image {image!r}: the embedded server has no containers and pulls nothing; this machine can stand in for "
            "Python, Debian, Ubuntu and E2B's base images only"
        )
    here = platform.python_version()
    lines = [
        f"FROM {image}: the embedded server has no containers, so no image was pulled. The template stands on this "
        f"machine's own environment ({platform.system()} {platform.machine()}, Python {here}): commands see its "
        "programs, and its files outside /home/user and /tmp"
    ]
    asked = PYTHON_VERSION.match(match.group("tag") or "") if match.group("name") == "python" else None
    if asked is not None and not f"{here}.".startswith(f"{asked.group()}."):
        lines.append(f"the image has Python {asked.group()}, this machine has Python {here}")
    return lines
