"""What runs inside a sandbox: the worker runtime, its links and its HTTP endpoint."""
