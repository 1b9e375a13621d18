"""`python -m cli` is `instant`."""

import sys

from cli.app import main

sys.exit(main())
