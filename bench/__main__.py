"""`python -m bench NAME` runs one bench; each prints ratios first and ends with one line of JSON."""

import sys

from bench import door, rollup

BENCHES = {"door": door.main, "rollup": rollup.main}

if __name__ == "__main__":
    names = sys.argv[1:]
    if len(names) != 1 or names[0] not in BENCHES:
        sys.exit(f"usage: make bench NAME={'|'.join(BENCHES)}")
    BENCHES[names[0]]()
