"""The ledger of lines: how much code each folder holds, how much of it is comment, and how it grew.

Growth is counted from the newest tag, or from --since; without either, from nothing. Prints, never fails: the point is
that whoever lands sees what the change costs to read.
"""

import argparse
import subprocess
from collections import defaultdict
from pathlib import Path

LANGUAGES = {".cc": "//", ".h": "//", ".inc": "//", ".cl": "//", ".py": "#"}


def git(*arguments):
    done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)
    return done.stdout if done.returncode == 0 else ""


def folder_of(name):
    """src and python/ember by their folders, the rest by the first."""
    parts = Path(name).parts
    depth = {"src": 2, "tests": 2, "python": 3}.get(parts[0], 1)
    return "/".join(parts[: min(depth, len(parts) - 1)])


def count(text, mark):
    """(code, comment) lines; a docstring is comment, a blank line is neither."""
    code = comment = 0
    quoted = False
    for line in (stripped for raw in text.splitlines() if (stripped := raw.strip())):
        quotes = line.count('"""') if mark == "#" else 0
        if quoted or line.startswith(mark) or line.startswith(('"""', 'r"""')):
            comment += 1
        else:
            code += 1
        quoted ^= quotes % 2 == 1
    return code, comment


def tally(names, read):
    """{folder: [files, code, comment]} over the named files."""
    rows = defaultdict(lambda: [0, 0, 0])
    for name in names:
        if (mark := LANGUAGES.get(Path(name).suffix)) and "/" in name:
            row, (code, comment) = rows[folder_of(name)], count(read(name), mark)
            row[0], row[1], row[2] = row[0] + 1, row[1] + code, row[2] + comment
    return rows


def main():
    parse = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parse.add_argument("--since", default=git("describe", "--tags", "--abbrev=0").strip(), help="a commit or tag")
    since = parse.parse_args().since
    now = tally(
        [name for name in git("ls-files").split() if Path(name).is_file() and not Path(name).is_symlink()],
        lambda name: Path(name).read_text(),
    )
    then = {}
    if since:
        then = tally(git("ls-tree", "-r", "--name-only", since).split(), lambda name: git("show", f"{since}:{name}"))
    print(f"{'folder':26}{'files':>6}{'code':>8}{'comment':>9}{'growth':>8}  since {since or 'the beginning'}")
    total = [0, 0, 0, 0]
    for folder in sorted(now):
        files, code, comment = now[folder]
        row = [files, code, comment, code - (then[folder][1] if folder in then else 0)]
        total = [a + b for a, b in zip(total, row)]
        print(f"{folder:26}{files:6}{code:8}{comment / max(1, code + comment):9.0%}{row[3]:+8}")
    print(f"{'all':26}{total[0]:6}{total[1]:8}{total[2] / max(1, total[1] + total[2]):9.0%}{total[3]:+8}")


if __name__ == "__main__":
    main()
