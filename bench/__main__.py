"""Run one benchmark with `python -m bench NAME`; each prints ratios first and ends with one line of JSON."""

import sys

from bench import door, load, rollup, shield, stream

BENCHES = {"door": door.main, "load": load.main, "rollup": rollup.main, "shield": shield.main, "stream": stream.main}

if __name__ == "__main__":
    names = sys.argv[1:]
    if not names or names[0] not in BENCHES or (names[1:] and names[0] != "load"):
        sys.exit(f"usage: make bench NAME={'|'.join(BENCHES)}")
    if names[0] == "load":
        load.main(names[1:])
    else:
        BENCHES[names[0]]()
