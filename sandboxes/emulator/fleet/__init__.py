"""The sandboxes themselves: what one is, how they come, rest and go, and what is kept of them."""
