"""The host side of a sandbox: who grants one, how many there may be, and that none is left behind."""
