"""The checks of tools/ catch what they are for: each is shown a small tree that breaks its rule."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

TOOLS = Path(__file__).parents[1] / "tools"


def run(tool, folder, *arguments):
    return subprocess.run(
        [sys.executable, str(TOOLS / f"{tool}.py"), *arguments], cwd=folder, capture_output=True, text=True, check=False
    )


@pytest.fixture
def tree(tmp_path):
    """Writes {name: text} into a fresh git repository and returns its folder."""

    def write(files):
        for name, text in files.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text)
        subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
        subprocess.run(["git", "add", "-A"], cwd=tmp_path, check=True)
        return tmp_path

    return write


def test_layers_refuse_an_include_that_goes_up(tree):
    fine = '// A.\n#include "base/error.h"\n'
    folder = tree({"src/tensor/a.h": fine, "src/base/b.h": '// B.\n#include "tensor/a.h"\n'})
    done = run("check_layers", folder)
    assert done.returncode == 1
    assert done.stdout.startswith("src/base/b.h:2: base/ may not include tensor/") and "a.h:" not in done.stdout


@pytest.mark.parametrize(
    "text, complaint",
    [
        ("int x;\n", "opens with no comment"),
        ("// X.\n// TO" + "DO: later\n", "unfinished work"),
        ("// X.\nint x;  \n", "blanks at the end"),
        ("// X.\n// see /ho" + "me/me/x\n", "names a folder of one machine"),
        ("// X." + "x" * 120 + "\n", "columns (at most 120)"),
    ],
)
def test_rules_name_the_line(tree, text, complaint):
    done = run("lint", tree({"src/base/x.cc": text, "src/base/good.cc": "// Good.\nint y;\n"}))
    assert done.returncode == 1
    assert complaint in done.stdout and "good.cc" not in done.stdout


def test_ledger_counts_code_and_comment(tree):
    done = run("ledger", tree({"src/base/x.cc": "// X.\n\nint x;\nint y;\nint z;\n"}))
    rows = [line.split() for line in done.stdout.splitlines() if line.startswith("src/base")]
    assert [row[1:4] for row in rows] == [["1", "3", "25%"]]


@pytest.mark.skipif(not shutil.which("g++") or not shutil.which("nm"), reason="needs g++ and nm")
def test_symbols_refuse_a_stray_weak_one(tmp_path):
    source = tmp_path / "x.cc"
    source.write_text(
        "namespace ember::cpu::avx2 { inline int fine() { return 1; } }\n"
        "inline int stray() { return 2; }\n"
        "int use() { return (&ember::cpu::avx2::fine)() + (&stray)(); }\n"
    )
    subprocess.run(["g++", "-c", "-O0", str(source), "-o", str(tmp_path / "x.o")], check=True)
    command = '[{"command": "g++ -DEMBER_ISA=avx2", "output": "x.o"}]'
    (tmp_path / "compile_commands.json").write_text(command)
    done = run("check_isa_symbols", tmp_path, str(tmp_path))
    assert done.returncode == 1
    assert "weak stray()" in done.stdout and "fine" not in done.stdout
