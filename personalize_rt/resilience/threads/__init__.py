"""Waiting, racing and cancelling for threads; :mod:`personalize_rt.resilience.tasks` is the twin for tasks."""
