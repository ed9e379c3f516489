"""Fails when an object compiled for one instruction set holds a weak symbol outside that set's own namespace.

The linker keeps one copy of a weak symbol. Were it the copy compiled for AVX-512, baseline code would run it, and die
on a machine without. So such objects may define weak symbols in `ember::cpu::<set>` alone. Finds them by their names
in compile_commands.json (`-DEMBER_ISA=<set>`) and reads them with `nm`.
"""

import argparse
import json
import re
import subprocess
import sys
from pathlib import Path

DEFINE = re.compile(r"-DEMBER_ISA=(\w+)")
WEAK = re.compile(r"^[0-9a-f]+ [VWu] (.*)$", re.MULTILINE)


def objects(build):
    """(object file, instruction set) of each file that is compiled for one."""
    for entry in json.loads((build / "compile_commands.json").read_text()):
        if match := DEFINE.search(entry["command"]):
            yield build / entry["output"], match[1]


def strays(path, isa):
    listing = subprocess.run(["nm", "--demangle", "--defined-only", path], capture_output=True, text=True, check=True)
    return [name for name in WEAK.findall(listing.stdout) if f"ember::cpu::{isa}::" not in name]


def main():
    parse = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parse.add_argument("build", type=Path, help="a build folder, with compile_commands.json")
    build = parse.parse_args().build
    seen, wrong = 0, 0
    for path, isa in objects(build):
        seen += 1
        for name in strays(path, isa):
            wrong += 1
            print(f"{path.name} ({isa}): weak {name}")
    print(f"symbols: {seen} objects compiled per instruction set, {wrong} stray weak symbols")
    return bool(wrong or not seen)


if __name__ == "__main__":
    sys.exit(main())
