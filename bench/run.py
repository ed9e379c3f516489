"""Ember against PyTorch: one program over both modules, every case through the same API, the ratio printed.

Each round starts a fresh process for each framework, ours and theirs by turns, with equal threads; a case's figure is
its minimum over all rounds, which is what the machine can do when nobody disturbs it. Compare ratios, not two runs.
Where a target is missed, both get twice as many rounds again: a neighbour's traffic looks like a slow kernel.
Cases live in bench/cases/; a target is a promise that the issue tracker holds us to, and a missed one is marked.

    python bench/run.py --filter overhead --quick
"""

import argparse
import fnmatch
import importlib
import json
import math
import os
import subprocess
import sys
import timeit
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from case import CASES, GROUP_TARGETS, load_cases

UNITS = {"s": [(1, "s"), (1e-3, "ms"), (1e-6, "us"), (1e-9, "ns")], "B": [(1e6, "MB")], "/s": [(1e9, "G/s")]}


def in_words(value, unit):
    scale, name = next((row for row in UNITS[unit] if value >= row[0]), UNITS[unit][-1])
    return f"{value / scale:.3g} {name}"


def measure(case, module, sample_seconds, samples):
    """The case's figure in this process: seconds a run (the least of `samples`), or what the case itself measured."""
    work = case.make(module)
    if isinstance(work, float):
        return work
    statement, names = work if isinstance(work, tuple) else ("work()", {"work": work})
    timer = timeit.Timer(statement, globals=dict(names))
    timer.timeit(1)
    once = max(timer.timeit(1), 1e-8)
    number = max(1, math.ceil(sample_seconds / once))
    if number > 10:
        once = timer.timeit(number // 10) / (number // 10)
        number = max(1, math.ceil(sample_seconds / once))
    return min(timer.repeat(samples, number)) / number


def work_in_child(options):
    """One process of one round: prints a line of JSON for each case."""
    module = importlib.import_module(options.child)
    sample = (0.003, 3) if options.quick else (0.01, 5)
    module.set_num_threads(options.threads)
    for name in options.names:
        try:
            result = {"value": measure(CASES[name], module, *sample)}
        except Exception as error:
            result = {"error": f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"}
        print(json.dumps({"name": name, **result}), flush=True)


def start_child(framework, names, options):
    """{case: {"value" or "error"}} from a fresh process."""
    threads = str(options.threads)
    pools = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "EMBER_NUM_THREADS")
    command = [sys.executable, __file__, "--child", framework, "--threads", threads, *names]
    done = subprocess.run(
        command + ["--quick"] * options.quick,
        env=os.environ | dict.fromkeys(pools, threads) | {"TQDM_DISABLE": "1"},
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    rows = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    found = {row["name"]: row for row in rows}
    ended = {"error": f"the process ended with status {done.returncode}"}
    return {name: found.get(name, ended) for name in names}


def collect(results, rounds, options):
    """Adds to {case: {"ours"/"theirs": figure or error}}; by file of cases, then rounds, then frameworks by turns."""
    files = {}
    for name in results:
        files.setdefault(CASES[name].file, []).append(name)
    for file, members in files.items():
        for turn in range(rounds):
            print(f"\r{file}: round {turn + 1} of {rounds} ", end="", file=sys.stderr, flush=True)
            sides = [("ours", options.ours), ("theirs", "torch")]
            for side, framework in sides if turn % 2 else reversed(sides):
                for name, row in start_child(framework, members, options).items():
                    if "error" in row:
                        results[name].setdefault(side + "_error", row["error"])
                    else:
                        better = max if CASES[name].unit == "/s" else min
                        results[name][side] = better(results[name].get(side, row["value"]), row["value"])
    print(file=sys.stderr)
    for name, row in results.items():
        judge(CASES[name], row)


def judge(case, row):
    """Adds the ratio (over 1: ours is better) and whether the case's targets are met."""
    if "ours" in row and "theirs" in row:
        ratio = row["theirs"] / row["ours"]
        row["ratio"] = 1 / ratio if case.unit == "/s" else ratio
    met = [row.get("ratio", 0) >= case.ratio] if case.ratio else []
    met += [row.get("ours", math.inf) < case.below] if case.below else []
    met += [row.get("ours", 0) >= case.above] if case.above else []
    row["met"] = all(met) if met else None
    wishes = [f">= {case.ratio:g}x"] if case.ratio else []
    wishes += [f"< {in_words(case.below, case.unit)}"] if case.below else []
    wishes += [f">= {case.above:.0%}"] if case.above else []
    row["target"] = ", ".join(wishes)


def geometric_mean(values):
    return math.exp(sum(map(math.log, values)) / len(values))


def print_table(results, ours):
    """One line a case, a geometric mean a group; returns the number of missed targets."""
    missed = 0
    for group in dict.fromkeys(CASES[name].group for name in results):
        print(f"\n{group:44}{ours:>11}{'torch':>11}{'ratio':>9}  target")
        members = {name: row for name, row in results.items() if CASES[name].group == group}
        for name, row in members.items():
            unit = CASES[name].unit
            show = (lambda v: f"{v:.0%}") if CASES[name].above else (lambda v, unit=unit: in_words(v, unit))
            cells = [show(row[side]) if side in row else "-" for side in ("ours", "theirs")]
            ratio = f"{row['ratio']:.2f}x" if "ratio" in row else "-"
            mark = {True: "met", False: "MISSED", None: ""}[row["met"]]
            error = f"  {row.get('ours_error') or row.get('theirs_error') or ''}"
            print(f"  {name:42}{cells[0]:>11}{cells[1]:>11}{ratio:>9}  {row['target']:18} {mark}{error}".rstrip())
            missed += row["met"] is False
        if ratios := [row["ratio"] for row in members.values() if "ratio" in row]:
            mean, target = geometric_mean(ratios), GROUP_TARGETS.get(group)
            verdict = (
                f">= {target:g}x" + ("             met" if mean >= target else "             MISSED") if target else ""
            )
            print(f"  {'geometric mean':42}{'':22}{mean:8.2f}x  {verdict}".rstrip())
            missed += bool(target and mean < target)
    return missed


def plot(results, path):
    """The ratios as bars on a logarithmic axis, one colour a group."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    groups = list(dict.fromkeys(case.group for case in CASES.values()))
    rows = [(name, row["ratio"]) for name, row in results.items() if "ratio" in row]
    rows.sort(key=lambda row: groups.index(CASES[row[0]].group), reverse=True)
    colours = [plt.cm.tab10(groups.index(CASES[name].group) % 10) for name, _ in rows]
    figure, axes = plt.subplots(figsize=(9, 1 + 0.2 * len(rows)), layout="constrained")
    axes.barh([name for name, _ in rows], [ratio - 1 for _, ratio in rows], left=1, color=colours)
    axes.axvline(1, color="black", linewidth=1)
    axes.set(xscale="log", xlabel="times as fast as PyTorch", title="Ember against PyTorch")
    axes.tick_params(axis="y", labelsize=7)
    axes.margins(y=0.005)
    figure.savefig(path, dpi=110)


def main():
    parse = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parse.add_argument("names", nargs="*", help=argparse.SUPPRESS)
    parse.add_argument("--child", help=argparse.SUPPRESS)
    parse.add_argument("--filter", default="", help="only cases whose group or name matches (part of it, or a glob)")
    parse.add_argument("--quick", action="store_true", help="two short rounds")
    parse.add_argument("--rounds", type=int, help="fresh processes per framework (default 5)")
    parse.add_argument("--threads", type=int, default=os.cpu_count())
    parse.add_argument("--ours", default="ember", help="the module under test")
    parse.add_argument("--json", type=Path, metavar="FILE")
    parse.add_argument("--plot", type=Path, metavar="FILE")
    parse.add_argument("--check", action="store_true", help="exit with 1 when a target is missed")
    parse.add_argument("--list", action="store_true", help="name the cases and stop")
    options = parse.parse_args()
    options.rounds = options.rounds or (2 if options.quick else 5)
    load_cases()
    if options.child:
        work_in_child(options)
        return 0
    pattern = f"*{options.filter}*"
    names = [
        name for name, case in CASES.items() if fnmatch.fnmatch(name, pattern) or fnmatch.fnmatch(case.group, pattern)
    ]
    if options.list or not names:
        print("\n".join(f"{CASES[name].group:12} {name}" for name in names) or "no case has such a name")
        return 0 if names else 1
    results = {name: {} for name in names}
    collect(results, options.rounds, options)
    missed = {name: row for name, row in results.items() if row["met"] is False}
    collect(missed, 2 * options.rounds, options)
    print(f"{options.threads} threads, least of {options.rounds} rounds", end="")
    print(f"; of {3 * options.rounds} for {', '.join(missed)}" if missed else "")
    missed = print_table(results, options.ours)
    print(f"\n{missed} targets missed")
    if options.json:
        options.json.write_text(json.dumps(results, indent=1))
    if options.plot:
        plot(results, options.plot)
    return 1 if options.check and missed else 0


if __name__ == "__main__":
    sys.exit(main())
