"""Unpack an uploaded archive and put its files into a build's tree, in the way of E2B's COPY.

An archive is made by somebody else, so nothing in it is taken at its word. Only directories, files and symbolic links
are accepted; no name and no link may lead out; links are made after all files, so that nothing is ever written through
one; and what is unpacked is bounded. In the tree, a link that is in the way is replaced instead of followed.
"""

import os
import posixpath
import shutil
import stat
import tarfile
from collections.abc import Collection, Iterator
from pathlib import Path, PurePosixPath

from sandboxes.emulator.errors import EmulatorError

ENTRIES_MAX = 200_000
UNPACKED_BYTES_MAX = 10 * 1024**3
GLOB_CHARACTERS = frozenset("*?[{")


class BadArchive(EmulatorError):
    """An archive holds what cannot be copied, or not what was announced."""


def unpack_archive(archive: Path, target: Path) -> None:
    """Unpack a tar archive, compressed or not, into an empty directory; blocking. Raises `BadArchive`."""
    links: dict[str, str] = {}
    files: set[str] = set()
    try:
        with tarfile.open(archive, "r:*") as tar:
            for member, name in check_members(tar):
                place = target / name
                if member.issym():
                    links[name] = check_link(name, member.linkname)
                elif member.isdir():
                    place.mkdir(parents=True, exist_ok=True)
                    place.chmod(stat.S_IRWXU | safe_mode(member))
                elif member.islnk():
                    place.parent.mkdir(parents=True, exist_ok=True)
                    place.hardlink_to(target / find_twin(member, files))
                else:
                    write_member(tar, member, place=place)
                    files.add(name)
            for name, link in links.items():
                place = target / name
                place.parent.mkdir(parents=True, exist_ok=True)
                place.symlink_to(link)
    except (tarfile.TarError, EOFError, OSError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise BadArchive(f"the uploaded archive could not be unpacked: {reason}") from error


def check_members(tar: tarfile.TarFile) -> Iterator[tuple[tarfile.TarInfo, str]]:
    """Yield the archive's entries with names that are safe. Raises `BadArchive`."""
    size = 0
    for count, member in enumerate(tar, 1):
        name = posixpath.normpath(member.name)
        if name.startswith("/") or ".." in PurePosixPath(member.name).parts or "\0" in member.name:
            raise BadArchive(f"the archive's entry {member.name!r} leads out of it: name files below the context")
        if not (member.isreg() or member.isdir() or member.issym() or member.islnk()):
            raise BadArchive(
                f"the archive's entry {member.name!r} is no file, directory or symbolic link: leave it out"
            )
        size += member.size
        if count > ENTRIES_MAX or size > UNPACKED_BYTES_MAX:
            raise BadArchive(f"the archive holds more than {ENTRIES_MAX} entries or {UNPACKED_BYTES_MAX} bytes")
        yield member, name


def check_link(name: str, link: str) -> str:
    """Return where a symbolic link leads. Raises `BadArchive` if that is outside of what is copied."""
    led = posixpath.normpath(posixpath.join(posixpath.dirname(name), link))
    if link.startswith("/") or led == ".." or led.startswith("../"):
        raise BadArchive(
            f"the archive's link {name!r} leads to {link!r}, out of the files that are copied: "
            "copy with resolve_symlinks=True, or make the link with a command"
        )
    return link


def find_twin(member: tarfile.TarInfo, files: Collection[str]) -> str:
    """Return the file, already unpacked, that an entry is another name of. Raises `BadArchive` if there is none."""
    twin = posixpath.normpath(member.linkname)
    if twin not in files:
        raise BadArchive(f"the archive's entry {member.name!r} is another name of {member.linkname!r}, which it lacks")
    return twin


def write_member(tar: tarfile.TarFile, member: tarfile.TarInfo, *, place: Path) -> None:
    """Write one file of an archive."""
    place.parent.mkdir(parents=True, exist_ok=True)
    reader = tar.extractfile(member)
    assert reader is not None, "a regular file has content"
    with reader, place.open("xb") as writer:
        shutil.copyfileobj(reader, writer, 1024 * 1024)
    place.chmod(stat.S_IRUSR | stat.S_IWUSR | safe_mode(member))
    os.utime(place, (member.mtime, member.mtime))


def safe_mode(member: tarfile.TarInfo) -> int:
    """Return an entry's permissions without those that lend somebody's rights."""
    return member.mode & 0o777


def find_source(unpacked: Path, source: str) -> Path:
    """Return what a COPY's source names: of a pattern, the directory that is fixed. Raises `BadArchive`."""
    fixed: list[str] = []
    for part in PurePosixPath(posixpath.normpath(source)).parts:
        if GLOB_CHARACTERS & set(part):
            break
        fixed.append(part)
    if source.startswith("/") or ".." in fixed:
        raise BadArchive(f"COPY's source {source!r} leads out of the build context")
    found = unpacked.joinpath(*fixed)
    if not os.path.lexists(found):
        raise BadArchive(f"the uploaded archive holds no {source!r}: upload it again")
    return found


def place_files(source: Path, target: Path, *, mode: int | None) -> None:
    """Move a file, or everything in a directory, to its place in a tree; blocking. Raises `BadArchive`.

    A directory's content is merged into what is at the target. A file becomes the target, or goes into it when the
    target is a directory.
    """
    try:
        if mode is not None:
            set_modes(source, mode)
        if source.is_dir() and not source.is_symlink():
            merge_directory(source, target)
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            replace_entry(source, target / source.name if target.is_dir() else target)
    except OSError as error:
        raise BadArchive(f"the files could not be put to {target.name!r}: {error.strerror}") from error


def set_modes(source: Path, mode: int) -> None:
    """Give a file, or a directory with all in it, the permissions asked for; links have none."""
    mode &= 0o777
    if source.is_symlink():
        return
    if source.is_dir():
        for directory, names, files in os.walk(source, topdown=False):
            for name in (*names, *files):
                path = Path(directory, name)
                if not path.is_symlink():
                    # A directory that its owner cannot enter could not be copied into sandboxes.
                    path.chmod(mode | (stat.S_IRWXU if path.is_dir() else 0))
        return
    source.chmod(mode)


def merge_directory(source: Path, target: Path) -> None:
    """Move the content of a directory into another one, which may hold some of it already."""
    if target.is_symlink() or (target.exists() and not target.is_dir()):
        target.unlink()
    if not target.exists():
        target.mkdir(parents=True)
        shutil.copystat(source, target)
    for entry in sorted(source.iterdir()):
        if entry.is_dir() and not entry.is_symlink():
            merge_directory(entry, target / entry.name)
        else:
            replace_entry(entry, target / entry.name)


def replace_entry(source: Path, target: Path) -> None:
    """Move a file or a link to a path, in the place of whatever is there."""
    if target.is_dir() and not target.is_symlink():
        shutil.rmtree(target)
    source.rename(target)
