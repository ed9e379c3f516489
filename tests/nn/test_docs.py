"""The examples in the docstrings of ember.nn run and print what they say."""

import doctest
import importlib
import pkgutil

import ember
import pytest


class Checker(doctest.OutputChecker):
    """Takes `torch.Size([2])` for `ember.Size([2])`: which of the two is printed is the core's choice."""

    def check_output(self, want, got, optionflags):
        return super().check_output(want.replace("torch.", "ember."), got.replace("torch.", "ember."), optionflags)


def names():
    found = [m.name for m in pkgutil.walk_packages(ember.nn.__path__, "ember.nn.")]
    return ["ember.nn", *sorted(found), "ember.utils.hooks"]


@pytest.mark.parametrize("name", names())
def test_examples(name):
    module = importlib.import_module(name)
    finder = doctest.DocTestFinder(exclude_empty=True)
    runner = doctest.DocTestRunner(checker=Checker(), optionflags=doctest.NORMALIZE_WHITESPACE, verbose=False)
    glob = {"ember": ember, "F": ember.nn.functional, **vars(module)}
    failures = []
    for test in finder.find(module, globs=glob):
        out = []
        if runner.run(test, out=out.append, clear_globs=False).failed:
            failures.append("".join(out))
    assert not failures, "\n".join(failures)
