"""The version of this package. A build writes the one of its tag here (``hatch_build.py``); a checkout has none yet."""

__version__ = "0.1.0.dev0"
