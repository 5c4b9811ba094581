"""Templates: builds with the SDK's builder, their steps, layers, logs and tags."""
