"""Side-by-side measurements against peers; every figure is a ratio within one run."""
