"""Topologies as directed graphs, and the coordination rules of a round in each. Pure: no I/O, no clock.

Modules are imported by name and not from here, because a worker needs the rounds but not networkx.
"""
