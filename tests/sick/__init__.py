"""Servers, credentials and stores that are ill, each in one way, and what a call to them may end with.

Shared by the fault suites (``tests/resilience/faults``, ``tests/aio/test_aio_sick.py``) and by
``benchmarks/deadlines.py``. A new way of being ill is a function in ``behaviours.py`` and a line in ``kinds.py``.
"""
