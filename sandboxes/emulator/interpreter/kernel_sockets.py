"""The only module that touches Jupyter: typed sockets to kernels over `jupyter_client` and ZeroMQ.

A kernel listens on abstract Unix sockets: no port that a sandbox's own program may want, no file that outlives it, no
limit on the length of the data directory's path. Everybody on the machine may connect to such a socket, so that the
traffic is encrypted (CurveZMQ), with keys that only the connection file holds. In a sandbox with a network of its own
they are files below its `/tmp` instead, and there the path of the data directory must be short.

The packages take 60 ms to import. They are imported with the first kernel, while that starts.
"""

import importlib
import secrets
from typing import TYPE_CHECKING, cast

import anyio
import msgspec

from sandboxes.emulator.interpreter.kernel_messages import KernelMessage

if TYPE_CHECKING:
    import zmq.asyncio
    from jupyter_client.asynchronous.client import AsyncKernelClient

RECONNECT_MS = 5
"""How often a kernel that does not listen yet is tried again; ZeroMQ's own 100 ms would be half of a kernel's start."""
MESSAGES_QUEUED_MAX = 100_000
"""What a kernel says beyond this, while a client reads slowly, is lost; ZeroMQ's own 1000 is a tight loop of prints."""
SIGNATURES_KEPT = 1024
"""How many messages back a repeated one is refused."""
BROKEN_MESSAGE = (ValueError, TypeError, KeyError, IndexError, RecursionError, msgspec.DecodeError)
"""What the reading of a message raises that is none, or has a wrong signature."""


class ConnectionFile(msgspec.Struct, kw_only=True):
    """Where a kernel listens, and the keys to it, as Jupyter's connection files spell it."""

    ip: str
    key: str
    curve_publickey: str
    curve_secretkey: str
    transport: str = "ipc"
    signature_scheme: str = "hmac-sha256"
    shell_port: int = 1
    iopub_port: int = 2
    stdin_port: int = 3
    control_port: int = 4
    hb_port: int = 5


class KernelChannels:
    """The two sockets to one kernel: cells go out and are acknowledged on one, all they produce comes on the other."""

    def __init__(self, client: "AsyncKernelClient") -> None:
        self._client = client
        self._session = client.session
        self._session.digest_history_size = SIGNATURES_KEPT
        # What these return is declared more widely than it is: the client was made with an asyncio context.
        self._shell = cast("zmq.asyncio.Socket", client.connect_shell())
        self._iopub = cast("zmq.asyncio.Socket", client.connect_iopub())

    async def send_cell(self, code: str, *, request_id: str, is_silent: bool) -> None:
        """Ask the kernel to run code; a silent cell has no number and shows nothing."""
        content = {
            "code": code,
            "silent": is_silent,
            "store_history": not is_silent,
            "user_expressions": {},
            "allow_stdin": False,
            "stop_on_error": False,  # cells come one at a time: there is nothing to stop
        }
        message = self._session.msg("execute_request", content)
        message["header"]["msg_id"] = request_id
        # Not `session.send`: that goes past the socket's own event loop, which may then miss an answer.
        await self._shell.send_multipart(self._session.serialize(message))

    async def receive_output(self) -> KernelMessage | None:
        """Wait for what the kernel publishes; `None` for a message that is none."""
        return self._read(await self._iopub.recv_multipart())

    async def receive_reply(self) -> KernelMessage | None:
        """Wait for the acknowledgement of a cell; `None` for a message that is none."""
        return self._read(await self._shell.recv_multipart())

    def close(self) -> None:
        """Close both."""
        self._shell.close(linger=0)
        self._iopub.close(linger=0)

    def _read(self, frames: list[bytes]) -> KernelMessage | None:
        try:
            _identities, parts = self._session.feed_identities(frames)
            return msgspec.convert(self._session.deserialize(parts), KernelMessage)
        except BROKEN_MESSAGE:
            return None


class KernelSockets:
    """Opens the channels to all kernels of a server; a context manager that outlives them."""

    def __init__(self) -> None:
        self._context: zmq.asyncio.Context | None = None

    def __enter__(self) -> "KernelSockets":
        return self

    def __exit__(self, *_reason: object) -> None:
        if self._context is not None:
            self._context.destroy(linger=0)

    async def make_connection_file(self) -> ConnectionFile:
        """Return a place for a new kernel to listen, with new keys."""
        await anyio.to_thread.run_sync(importlib.import_module, "jupyter_client.asynchronous.client")
        import zmq

        public_key, secret_key = zmq.curve_keypair()
        return ConnectionFile(
            ip=f"@e2b-kernel-{secrets.token_hex(8)}",
            key=secrets.token_hex(32),
            curve_publickey=public_key.decode(),
            curve_secretkey=secret_key.decode(),
        )

    def connect(self, connection: ConnectionFile) -> KernelChannels:
        """Open the channels to a kernel, which need not listen yet. Raises `OSError`."""
        import zmq
        from jupyter_client.asynchronous.client import AsyncKernelClient

        client = AsyncKernelClient(context=self._open_context())
        client.load_connection_info(msgspec.to_builtins(connection))
        try:
            return KernelChannels(client)
        except zmq.ZMQError as error:
            raise OSError(error.errno, f"no socket to a kernel could be opened: {error}") from error

    def _open_context(self) -> "zmq.asyncio.Context":
        import zmq.asyncio

        if self._context is None:
            self._context = zmq.asyncio.Context()
            self._context.set(zmq.MAX_SOCKETS, self._context.get(zmq.SOCKET_LIMIT))
            self._context.setsockopt(zmq.RECONNECT_IVL, RECONNECT_MS)
            self._context.setsockopt(zmq.RCVHWM, MESSAGES_QUEUED_MAX)
        return self._context
