"""Exact results in double precision: the softmax, distances and bounds, the laws of samplers, Bellman equations."""
