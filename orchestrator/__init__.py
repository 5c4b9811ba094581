"""The control plane: what should run, and making it so. The only package that sees all the others."""
