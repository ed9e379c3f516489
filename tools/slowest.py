"""Prints how long the last builds under a folder took, and the files that took longest, from Ninja's own log.

A build's cost is a budget (six minutes on two cores, from nothing): the list shows where it goes.
"""

import argparse
from pathlib import Path


def read_log(path):
    """{output: (start, end)} in seconds, of the newest run of each step."""
    steps = {}
    for line in path.read_text().splitlines():
        if not line.startswith("#"):
            start, end, _, output, _ = line.split("\t")
            steps[output] = (int(start) / 1000, int(end) / 1000)
    return steps


def main():
    parse = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parse.add_argument("folder", type=Path)
    parse.add_argument("--count", type=int, default=10)
    options = parse.parse_args()
    logs = sorted(options.folder.rglob(".ninja_log"), key=lambda path: path.stat().st_mtime)
    if not logs:
        raise SystemExit(f"slowest: no Ninja log under {options.folder}")
    steps = read_log(logs[-1])
    spent = sum(end - start for start, end in steps.values())
    print(f"{logs[-1].parent}: {len(steps)} steps, {spent:.0f} s of compiling and linking")
    for output, (start, end) in sorted(steps.items(), key=lambda s: s[1][0] - s[1][1])[: options.count]:
        print(f"  {end - start:6.1f} s  {output}")


if __name__ == "__main__":
    main()
