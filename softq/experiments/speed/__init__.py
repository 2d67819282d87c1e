"""The time of samplers, updates and loops in units of that of their matrix products: the command `softq bench`."""
