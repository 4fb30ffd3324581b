"""Layers of torch.nn as ours, and back."""
