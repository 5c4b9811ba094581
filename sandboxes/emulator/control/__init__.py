"""The control plane: the calls that need the API key, and what they are made of."""
