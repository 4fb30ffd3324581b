"""Batches: runs of values, datasets made of them, and the plans that cut those."""
