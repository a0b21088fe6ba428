# Generated from personalize_rt/_async/__init__.py by `nox -s twins`: edit that file, and never this one.
"""The client of :mod:`personalize_rt.client`."""
