"""What a framework costs before it computes anything: import time, peak memory, megabytes on disk."""

import subprocess
import sys
from importlib import metadata
from pathlib import Path

from case import case


def in_fresh_python(m, program):
    code = f"import time, resource; t = time.perf_counter(); import {m.__name__}; {program}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return float(done.stdout)


@case("process", "import, seconds", below=0.15)
def import_time(m):
    return min(in_fresh_python(m, "print(time.perf_counter() - t)") for _ in range(2))


@case("process", "import, peak memory", below=60e6, unit="B")
def peak_memory(m):
    unit = 1 if sys.platform == "darwin" else 1024
    return in_fresh_python(m, "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)") * unit


@case("process", "installed", below=25e6, unit="B")
def installed(m):
    files = metadata.files("torch" if m.__name__ == "torch" else "ember-dl") or []
    return float(sum(path.stat().st_size for file in files if (path := Path(file.locate())).is_file()))
