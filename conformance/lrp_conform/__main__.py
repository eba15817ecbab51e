"""`python -m lrp_conform` is `lrp-conform`."""

import sys

from lrp_conform.cli import main

if __name__ == "__main__":
    sys.exit(main())
