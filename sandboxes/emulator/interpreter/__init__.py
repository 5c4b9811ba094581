"""E2B's code interpreter: port 49999 of the sandboxes made from the template `code-interpreter-v1`.

Cells of code run in contexts that keep their state: a Python context is a real Jupyter kernel, a bash context a bash
that stays open. Both are processes of the sandbox. Nothing runs, and nothing of Jupyter is imported, before the first
cell. The packages come with the extra `interpreter`; without them Python cells are answered with 501.
"""

from sandboxes.emulator.interpreter.kernel_sockets import KernelSockets
from sandboxes.emulator.interpreter.service import CodeInterpreter, offers_interpreter

__all__ = ["CodeInterpreter", "KernelSockets", "offers_interpreter"]
