"""What every part of softq leans on: the one error, checks, pytrees, files written whole, command-line options."""
