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


def on_disk(*packages):
    """Bytes of the installed files of some packages; KeyError's kin when one is not installed."""
    files = [Path(file.locate()) for package in packages for file in metadata.files(package) or []]
    return float(sum(path.stat().st_size for path in files if path.is_file()))


@case("process", "installed, alone", below=25e6, unit="B")
def installed(m):
    return on_disk("torch" if m.__name__ == "torch" else "ember-dl")


@case("process", "installed, with its BLAS and oneDNN", below=100e6, unit="B")
def installed_with_blas(m):
    if m.__name__ == "torch":
        return on_disk("torch")
    return on_disk("ember-dl", "scipy-openblas32", "onednn-cpu-gomp")
