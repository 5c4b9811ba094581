"""The swarm in a deterministic simulation: the real rules of every agent, under seeded faults, checked at every event.

What runs here is what runs in a worker - `Member`, `Session` - and in the coordinator - `Verdicts`, `OfficeBook`,
`RoundLedger`; only the wires, the clock and the processes are simulated. A world is driven by a heap of events or, as a
cross-check, by coroutines on a virtual-time loop; both must write the same trace.
"""
