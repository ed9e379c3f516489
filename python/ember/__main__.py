"""The `ember` command: `ember demo` trains two small networks, `ember info` says what is installed.

Also `python -m ember`. Each command is a function that returns an exit status; the demo itself is in ember.demo.
"""

import argparse
import os
import platform
import sys


def _demo(options):
    from . import demo

    if options.export_digits:
        return demo.export_digits(options.export_digits)
    return demo.run(options.out, options.seed, options.quick)


def _info(options):
    import numpy

    import ember

    cpu = platform.processor() or platform.machine()
    rows = {
        "ember": f"{ember.__version__} in {os.path.dirname(ember.__file__)}",
        "python": f"{platform.python_version()} ({platform.system()} {platform.machine()})",
        "numpy": numpy.__version__,
        "processor": f"{cpu}, {os.cpu_count()} logical",
        "threads": ember.get_num_threads(),
        "instructions": ember.backends.cpu.get_cpu_capability(),
    }
    for name, value in rows.items():
        print(f"{name:13} {value}")
    return 0


def main(arguments=None):
    """Parses the command line and runs the command. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="ember", description="A deep-learning framework with PyTorch's API.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    demo = commands.add_parser("demo", help="train a network on real handwritten digits, and a small GPT")
    demo.add_argument("--out", default="ember-demo", help="folder for what it writes (default: %(default)s)")
    demo.add_argument("--seed", type=int, default=0)
    demo.add_argument("--quick", action="store_true", help="a few steps of each, to see that all works")
    demo.add_argument("--export-digits", metavar="FILE", help="only write the digits, for examples/cpp/digits.cc")
    demo.set_defaults(run=_demo)
    info = commands.add_parser("info", help="versions, threads, instruction set")
    info.set_defaults(run=_info)
    options = parser.parse_args(arguments)
    try:
        return options.run(options)
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
