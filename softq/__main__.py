"""`python -m softq` is the command line."""

import sys

from softq.cli import main

if __name__ == "__main__":
    sys.exit(main())
