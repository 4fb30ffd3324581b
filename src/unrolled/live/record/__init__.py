"""The recorder: a layer's own step, run once on values that stand where tensors stand, becomes a program."""
