"""How fast samplers, updates and loops are, in units of bare matrix products: `softq bench`."""
