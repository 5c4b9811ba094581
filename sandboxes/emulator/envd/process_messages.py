"""The messages of envd's `process.Process` service, in protobuf's JSON form (bytes are base64, names camelCase)."""

import msgspec


class ProcessConfig(msgspec.Struct, rename="camel", omit_defaults=True):
    """A command line."""

    cmd: str = ""
    args: list[str] = []
    envs: dict[str, str] = {}
    cwd: str | None = None


class ProcessSelector(msgspec.Struct, rename="camel"):
    """One process, by its number or by the tag given at its start."""

    pid: int | None = None
    tag: str | None = None


class TerminalSize(msgspec.Struct, rename="camel"):
    """The size of a pseudo-terminal."""

    cols: int = 0
    rows: int = 0


class Terminal(msgspec.Struct, rename="camel"):
    """A wish for a pseudo-terminal."""

    size: TerminalSize | None = None


class StartRequest(msgspec.Struct, rename="camel"):
    """Start a command and follow it."""

    process: ProcessConfig
    pty: Terminal | None = None
    tag: str | None = None
    stdin: bool | None = None


class ConnectRequest(msgspec.Struct, rename="camel"):
    """Follow a command that runs already."""

    process: ProcessSelector


class ProcessInput(msgspec.Struct, rename="camel"):
    """Bytes for a command's standard input."""

    stdin: bytes | None = None
    pty: bytes | None = None


class SendInputRequest(msgspec.Struct, rename="camel"):
    """Write to a command's standard input."""

    process: ProcessSelector
    input: ProcessInput


class InputStart(msgspec.Struct, rename="camel"):
    """Names the command that a stream of input is for."""

    process: ProcessSelector


class InputData(msgspec.Struct, rename="camel"):
    """One piece of a stream of input."""

    input: ProcessInput


class StreamInputRequest(msgspec.Struct, rename="camel"):
    """One message of a stream of input: the start, data, or neither (a keepalive)."""

    start: InputStart | None = None
    data: InputData | None = None


class SendSignalRequest(msgspec.Struct, rename="camel"):
    """Send a signal to a command's leader."""

    process: ProcessSelector
    signal: str = "SIGNAL_UNSPECIFIED"


class UpdateRequest(msgspec.Struct, rename="camel"):
    """Give a command's terminal another size."""

    process: ProcessSelector
    pty: Terminal | None = None


class CloseStdinRequest(msgspec.Struct, rename="camel"):
    """Let a command's standard input end."""

    process: ProcessSelector


class Empty(msgspec.Struct):
    """A message without fields."""


class ProcessInfo(msgspec.Struct, rename="camel", omit_defaults=True):
    """One running command."""

    config: ProcessConfig
    pid: int
    tag: str | None = None


class ListResponse(msgspec.Struct, rename="camel"):
    """The running commands."""

    processes: list[ProcessInfo]


class StartEvent(msgspec.Struct, rename="camel"):
    """A stream's first event."""

    pid: int


class DataEvent(msgspec.Struct, rename="camel", omit_defaults=True):
    """A piece of output."""

    stdout: bytes | None = None
    stderr: bytes | None = None
    pty: bytes | None = None


class EndEvent(msgspec.Struct, rename="camel", omit_defaults=True):
    """How a command ended."""

    exit_code: int = 0
    exited: bool = False
    status: str = ""
    error: str | None = None


class ProcessEvent(msgspec.Struct, rename="camel", omit_defaults=True):
    """One of the four kinds of events; the others are absent."""

    start: StartEvent | None = None
    data: DataEvent | None = None
    end: EndEvent | None = None
    keepalive: Empty | None = None


class EventMessage(msgspec.Struct, rename="camel"):
    """A message of the streams of Start and Connect, which look alike."""

    event: ProcessEvent
