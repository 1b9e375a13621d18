"""`python -m cli` is `instant`."""

import sys

from cli import main

sys.exit(main())
