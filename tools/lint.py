"""House rules that no formatter knows: each file opens with a comment, names no machine, leaves nothing half-done.

Reads every file that git tracks. Long files are listed, not refused: 600 lines is a wish, the rest are rules.
"""

import re
import subprocess
import sys
from pathlib import Path

CODE = {".cc", ".h", ".inc", ".py", ".cl", ".cu"}
LONGEST_LINE, LONGEST_FILE, LARGEST_BYTES = 120, 600, 1_000_000
MACHINE_PATH = re.compile(r"(?<![\w.])/(?:work|root|Users|home)/")
UNFINISHED = re.compile(r"\b(?:TODO|FIXME|XXX|HACK)\b")
OPENINGS = {".py": ('"""', "#", 'r"""'), "": ("//", "/*")}


def tracked():
    listing = subprocess.run(["git", "ls-files", "-z"], capture_output=True, text=True, check=True).stdout
    return [Path(name) for name in listing.split("\0") if name]


def opens_with_comment(path, text):
    """True for a file that says what it is in its first line (after `#!`); empty files need not."""
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#!")]
    return not lines or lines[0].startswith(OPENINGS.get(path.suffix, OPENINGS[""]))


def complaints(path):
    data = path.read_bytes()
    if len(data) > LARGEST_BYTES:
        yield f"{path}: {len(data):,} bytes; nothing over {LARGEST_BYTES:,} is kept in git"
    try:
        text = data.decode()
    except UnicodeDecodeError:
        yield f"{path}: not text; no binaries are kept in git"
        return
    own_rules = path == Path("tools/lint.py")
    for number, line in enumerate(text.splitlines(), 1):
        where = f"{path}:{number}"
        if MACHINE_PATH.search(line) and not own_rules:
            yield f"{where}: names a folder of one machine"
        if path.suffix in CODE:
            if len(line) > LONGEST_LINE:
                yield f"{where}: {len(line)} columns (at most {LONGEST_LINE})"
            if UNFINISHED.search(line) and not own_rules:
                yield f"{where}: unfinished work is an issue, not a comment"
            if line != line.rstrip():
                yield f"{where}: blanks at the end of the line"
    if path.suffix in CODE and not opens_with_comment(path, text):
        yield f"{path}:1: opens with no comment that says what it holds"


def main():
    files = [path for path in tracked() if path.is_file() and not path.is_symlink()]
    found = [complaint for path in files for complaint in complaints(path)]
    for path in files:
        if path.suffix in CODE and (length := len(path.read_text().splitlines())) > LONGEST_FILE:
            print(f"note: {path} has {length} lines (wish: {LONGEST_FILE})")
    print("\n".join(found) or f"rules: {len(files)} files keep them")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
