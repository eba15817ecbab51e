"""`python -m lrp_ref` is `lrp-ref`."""

import sys

from lrp_ref.cli import main

if __name__ == "__main__":
    sys.exit(main())
