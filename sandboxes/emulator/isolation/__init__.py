"""Sandboxes with a mount, a process and maybe a network namespace of their own, on machines that allow it.

`namespace_init.py` is a program of its own and makes the namespaces; `enclosures.py` is the server's side of it;
`launching.py` decides where a command starts; `machine.py` says what the machine gives. This keeps sandboxes out of
each other's way. It is no boundary against hostile code: commands have the rights of the user who runs the server.
"""
