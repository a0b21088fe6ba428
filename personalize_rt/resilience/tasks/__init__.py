"""Waiting, racing and cancelling for tasks; :mod:`personalize_rt.resilience.threads` is the twin for threads."""
