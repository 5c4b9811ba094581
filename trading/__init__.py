"""The trading side that stays outside sandboxes: market data and the paper account."""
