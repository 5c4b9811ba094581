"""What a build's command lines become on a machine that has no containers.

A template's commands are written for a machine of their own. Here they run beside everything else, so two things are
done to each. Absolute paths that mean the template's own tree - in the home, in /tmp, or below a directory that the
tree has and this machine has not - are made to point there. And a command that is known to change the machine itself,
such as `apt-get install`, is refused. This keeps honest builds from doing harm; against hostile ones it is no boundary.
"""

import os
import re
import shlex
from collections.abc import Collection, Iterator
from pathlib import Path

from sandboxes.emulator.fleet.paths import HOMES
from sandboxes.emulator.processes.process_tree import ROOT_VARIABLE

PATH_START = re.compile(r"""(?<![\w.~/$}*?\]+@%:<-])(?<!\\)/(?=[\w.])|(?<=[^/:]:)/(?=[\w.])""")
PATH_TEXT = re.compile(r"/[\w.][^\s\"'`$;&|<>(){}\\:,]*")
ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=.*", re.DOTALL)
SEPARATORS = frozenset(["&&", "||", ";", "|", "&", "(", ")", ";;", "|&"])
REDIRECTIONS = frozenset("<>&")
PREFIXES = frozenset(
    {"exec", "time", "nohup", "env", "command", "then", "do", "else", "if", "while", "until", "!", "{"}
)
PACKAGE_MANAGERS = frozenset(
    [
        "apt",
        "apt-get",
        "aptitude",
        "dpkg",
        "yum",
        "dnf",
        "rpm",
        "apk",
        "pacman",
        "zypper",
        "snap",
        "brew",
        "conda",
        "mamba",
    ]
)
SYSTEM_PROGRAMS = frozenset(
    [
        "sudo",
        "su",
        "useradd",
        "usermod",
        "userdel",
        "adduser",
        "deluser",
        "groupadd",
        "passwd",
        "systemctl",
        "service",
        "mount",
        "umount",
        "sysctl",
        "update-alternatives",
        "reboot",
        "shutdown",
    ]
)
FILE_PROGRAMS = frozenset(
    ["rm", "rmdir", "mkdir", "mv", "ln", "cp", "touch", "chmod", "chown", "chgrp", "install", "tee", "truncate", "git"]
)
TARGET_LAST = frozenset({"cp", "ln", "install", "git"})
"""Programs that change only what their last argument names."""
SDK_PORT_CHECK = re.compile(r'\[ -n "\$\(ss -Htuln sport = :(\d{1,5})\)" \]')


def find_own_directories(root: Path, command: str) -> frozenset[str]:
    """Return the names of the top directories that are the template's: in its tree, or about to be made there."""
    machine = {entry.name for entry in Path("/").iterdir()}
    found = {entry.name for entry in root.iterdir() if entry.is_dir()}
    for words in split_commands(command):
        if words[0] in FILE_PROGRAMS:
            found |= {word.split("/", 2)[1] for word in words[1:] if word.startswith("/")}
    return frozenset(found - machine - {""})


def is_own_path(path: str, own: Collection[str]) -> bool:
    """Whether an absolute path means the template's tree, rather than something of this machine."""
    places = ("/tmp", HOMES["user"])
    return path.split("/", 2)[1] in own or any(path == place or path.startswith(f"{place}/") for place in places)


def translate_paths(command: str, own: Collection[str]) -> str:
    """Return a command line in which the template's own paths begin at its root, wherever that lies.

    The root is put in as a variable, in a way that works within any quotes of the shell.
    """
    translated: list[str] = []
    quote = ""
    position = 0
    while position < len(command):
        character = command[position]
        path = PATH_TEXT.match(command, position) if PATH_START.match(command, position) else None
        if path is not None and is_own_path(path.group(), own):
            reference = f"${{{ROOT_VARIABLE}}}"
            translated.append({"": f'"{reference}"', '"': reference, "'": f"'\"{reference}\"'"}[quote])
            translated.append(path.group())
            position = path.end()
            continue
        if character == "\\" and quote != "'":
            translated.append(command[position : position + 2])
            position += 2
            continue
        if character in "\"'" and quote in ("", character):
            quote = "" if quote else character
        translated.append(character)
        position += 1
    return "".join(translated)


def translate_ready_check(command: str) -> str:
    """Return a readiness check that looks at the sandbox's own address.

    The SDK's check of a port asks for all listeners of the machine, and would find those of other sandboxes.
    """

    def connect(match: re.Match[str]) -> str:
        return f'(exec 3<>"/dev/tcp/$E2B_SANDBOX_IP/{match.group(1)}") 2>/dev/null'

    return SDK_PORT_CHECK.sub(connect, command)


def translate_pip(command: str) -> str:
    """Return a command line without pip's `--user`, which excludes the directory of a template's packages."""
    return re.sub(r"\b(pip3?\s+install(?:\s+-\S+)*?)\s+--user\b", r"\1", command)


def explain_refusal(command: str, own: Collection[str]) -> str | None:
    """Return why a command line may not run here, `None` if nothing is known against it."""
    for words in split_commands(command):
        program, arguments = words[0].rpartition("/")[2], words[1:]
        reason = refuse_program(program, arguments) or refuse_targets(program, arguments, own=own)
        if reason is not None:
            return reason
    return None


def installs_packages(command: str) -> bool:
    """Whether a command line runs pip."""
    return re.search(r"\bpip3?\s+(install|download|wheel)\b", command) is not None


def split_commands(command: str) -> Iterator[list[str]]:
    """Yield the words of each simple command of a line; what a shell itself could not read yields nothing."""
    lexer = shlex.shlex(command.replace("\n", " ; "), posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    lexer.commenters = ""
    words: list[str] = []
    is_redirected = False
    try:
        tokens = list(lexer)
    except ValueError:
        return
    for token in [*tokens, ";"]:
        if token in SEPARATORS:
            if words:
                yield words
            words = []
        elif set(token) <= REDIRECTIONS:
            is_redirected = True
            continue
        elif not is_redirected and (words or not (ASSIGNMENT.fullmatch(token) or token in PREFIXES)):
            words.append(token)
        is_redirected = False


def refuse_program(program: str, arguments: list[str]) -> str | None:
    """Return why a program may not run, whatever its files."""
    if program in PACKAGE_MANAGERS:
        return (
            f"{program} would install into this machine: the embedded server has no container to install into. "
            "Install what is needed on the machine itself, or build at E2B"
        )
    if program in SYSTEM_PROGRAMS:
        return f"{program} would act on this machine: the embedded server has no container, and runs as one user"
    if program in {"npm", "yarn", "pnpm", "bun"} and {"-g", "--global", "global"} & set(arguments):
        return f"{program} would install into this machine: leave out the global option"
    is_pip = program in {"pip", "pip3"} or {"-m", "pip"} <= set(arguments)
    if (is_pip and "uninstall" in arguments) or program == "uv":
        return f"{program} would change the server's own Python environment: use pip install"
    return None


def refuse_targets(program: str, arguments: list[str], *, own: Collection[str]) -> str | None:
    """Return why a program may not change the files it names."""
    if program not in FILE_PROGRAMS:
        return None
    paths = [word for word in arguments if word.startswith("/")]
    if program in TARGET_LAST:
        paths = [word for word in arguments[-1:] if word.startswith("/")]
    for path in paths:
        if not is_own_path(os.path.normpath(path), own) and not path.startswith("/dev/"):
            return (
                f"{program} would change {path} of this machine: the embedded server has no container. "
                "Use a path in /home/user, /tmp or below a directory of the template's own, such as /app"
            )
    return None
