"""Copies of a sandbox's file tree that share nothing with it: for snapshots, forks and what begins from them.

Where the file system can, a copy shares blocks until one side writes (reflink), which the kernel keeps apart; hard
links are never made, so no write reaches the other tree. Kept are modes, times, extended attributes and symbolic
links; a link that names a path of the old tree is made to name the same path of the new one. Sockets are left out
(nobody listens behind a copy), as is what disappears while it is being copied. Paths written inside files stay as
they are: a virtual environment, for example, has to be made anew.
"""

import errno
import fcntl
import os
import shutil
import stat
from pathlib import Path

FICLONE = 0x40049409
NOT_CLONEABLE = frozenset({errno.EOPNOTSUPP, errno.EXDEV, errno.EINVAL, errno.ENOTTY, errno.ENOSYS, errno.EPERM})


def copy_tree(source: Path, target: Path) -> None:
    """Copy a directory to a path where nothing is; blocking. Raises `OSError`, and then leaves nothing behind."""
    try:
        copy_directory(source, target, moved=(str(source), str(target)))
    except OSError:
        shutil.rmtree(target, ignore_errors=True)
        raise


def copy_directory(source: Path, target: Path, *, moved: tuple[str, str]) -> None:
    """Copy one directory and what is below it."""
    target.mkdir(parents=True)
    with os.scandir(source) as entries:
        for entry in entries:
            try:
                copy_entry(entry, target / entry.name, moved=moved)
            except FileNotFoundError:
                if Path(entry.path).exists():  # it did not disappear: something else is wrong
                    raise
    shutil.copystat(source, target)


def copy_entry(entry: os.DirEntry[str], target: Path, *, moved: tuple[str, str]) -> None:
    """Copy one entry of a directory as what it is."""
    mode = entry.stat(follow_symlinks=False).st_mode
    if stat.S_ISLNK(mode):
        target.symlink_to(move_link(str(Path(entry.path).readlink()), moved))
        shutil.copystat(entry.path, target, follow_symlinks=False)
    elif stat.S_ISDIR(mode):
        copy_directory(Path(entry.path), target, moved=moved)
    elif stat.S_ISREG(mode):
        copy_file(entry.path, target)
    elif stat.S_ISFIFO(mode):
        os.mkfifo(target)
        shutil.copystat(entry.path, target)


def copy_file(source: str, target: Path) -> None:
    """Copy a file, sharing its blocks where that is possible."""
    with Path(source).open("rb") as reader, target.open("xb") as writer:
        try:
            fcntl.ioctl(writer, FICLONE, reader.fileno())
        except OSError as error:
            if error.errno not in NOT_CLONEABLE:
                raise
            shutil.copyfileobj(reader, writer, 1024 * 1024)
    shutil.copystat(source, target)


def move_link(link: str, moved: tuple[str, str]) -> str:
    """Return what a link has to name in the new tree."""
    old, new = moved
    return new + link.removeprefix(old) if link == old or link.startswith(f"{old}/") else link


def measure_tree(root: Path) -> int:
    """Return how many bytes of disk a tree takes; blocking. What disappears meanwhile counts as nothing."""
    total = 0
    waiting = [str(root)]
    while waiting:
        try:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    status = entry.stat(follow_symlinks=False)
                    total += status.st_blocks * 512
                    if stat.S_ISDIR(status.st_mode):
                        waiting.append(entry.path)
        except OSError:
            continue
    return total
