"""Who follows a command's output at this moment.

Nothing is kept for those who come later. Each listener has a small queue; when it is full the teller waits, so that
a client that reads slowly slows the command down instead of filling the server's memory.
"""

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

FRAMES_BUFFERED_MAX = 64


class Listeners:
    """The open streams of one command."""

    def __init__(self) -> None:
        self._sends: list[MemoryObjectSendStream[bytes]] = []
        self._is_closed = False

    def __bool__(self) -> bool:
        return bool(self._sends)

    def add(self) -> MemoryObjectReceiveStream[bytes]:
        """Return a stream of the frames told from now on; it is at its end already if the command is."""
        send, receive = anyio.create_memory_object_stream[bytes](FRAMES_BUFFERED_MAX)
        if self._is_closed:
            send.close()
        else:
            self._sends.append(send)
        return receive

    async def tell(self, frame: bytes) -> None:
        """Give a frame to all, waiting for the slow ones and forgetting those that left."""
        for send in list(self._sends):
            try:
                await send.send(frame)
            except (anyio.BrokenResourceError, anyio.ClosedResourceError):
                self._drop(send)

    def close(self) -> None:
        """Let all streams end after what they were told."""
        self._is_closed = True
        for send in list(self._sends):
            self._drop(send)

    def _drop(self, send: MemoryObjectSendStream[bytes]) -> None:
        send.close()
        if send in self._sends:  # both of a command's pipes may find out that a listener left
            self._sends.remove(send)
