"""The loop, the optimiser, checkpoints."""
