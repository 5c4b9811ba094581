"""Monitor data in, decisions out. Today that is the price of a sandbox alone. Pure, no I/O."""
