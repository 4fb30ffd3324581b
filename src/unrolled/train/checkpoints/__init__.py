"""Checkpoints: what a run keeps, so that it goes on as if it had never stopped."""
