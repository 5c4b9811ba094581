"""Commands as processes of this machine: their start, their pipes, their end, and that none is left."""
