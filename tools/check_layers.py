"""Holds the folders of src/ to their arrows: a folder may include what its arrow names, and what those name in turn.

The arrows are the table below, in topological order; ARCHITECTURE.md draws them. Reads `#include "folder/file.h"`
lines alone, and fails with the line that breaks the order. A folder that the table lacks is an error too.
"""

import re
import sys
from pathlib import Path

ARROWS = {
    "base": [],
    "tensor": ["base"],
    "io": ["tensor"],
    "kernel": ["tensor"],
    "op": ["kernel"],
    "program": ["op", "io"],
    "transform": ["op"],
    "graph": ["transform", "program"],
    "runtime": ["program"],
    "distributed": ["tensor"],
    "nn": ["transform", "distributed", "io"],
    "optim": ["transform", "distributed", "io"],
    "data": ["transform", "distributed", "io"],
    "profile": ["tensor"],
    "python": ["graph", "runtime", "nn", "optim", "data", "profile"],
}
INCLUDE = re.compile(r'^\s*#\s*include\s+"([a-z_]+)/', re.MULTILINE)


def reachable(arrows):
    """{folder: every folder it may include, itself among them}; fails when an arrow points at a later folder."""
    allowed = {}
    for folder, direct in arrows.items():
        allowed[folder] = {folder}.union(*(allowed[below] for below in direct))
    return allowed


def violations(root, allowed):
    for path in sorted(p for p in root.rglob("*") if p.suffix in (".h", ".cc", ".inc")):
        folder = path.relative_to(root).parts[0]
        if folder not in allowed:
            yield f"{path}: folder src/{folder} has no arrow in tools/check_layers.py"
            continue
        text = path.read_text()
        for match in INCLUDE.finditer(text):
            if match[1] in allowed and match[1] not in allowed[folder]:
                line = text.count("\n", 0, match.start(1)) + 1
                may = ", ".join(sorted(allowed[folder]))
                yield f"{path}:{line}: {folder}/ may not include {match[1]}/ (only {may})"


def main():
    found = list(violations(Path("src"), reachable(ARROWS)))
    print("\n".join(found) or f"layers: {len(ARROWS)} folders keep their order")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
