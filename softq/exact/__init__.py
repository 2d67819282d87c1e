"""Truths in double precision: the softmax, its distances and bounds, laws of samplers, exact Bellman equations."""
