"""What `count.py` counts: the parts of the tree, the methods, and what is written more than once."""
