"""What was built: `__version__`, and None for each accelerator's toolkit that it was built without."""

__version__ = "0.1.0"
debug = False
cuda = None
hip = None
git_version = "unknown"
