"""Helpers for your own tests: ``set_testing``, ``verify``, and the module ``record``.

The fixtures are in ``plugin``, which pytest loads by itself. Names are imported when first used, since every run of
pytest loads this package, even if it does not need Personalize.
"""

TYPE_CHECKING = False

if TYPE_CHECKING:
    from personalize_rt.testing.waiting import set_testing
    from personalize_rt.verify import verify
else:
    _HOMES = {"set_testing": "personalize_rt.testing.waiting", "verify": "personalize_rt.verify"}

    def __getattr__(name):
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module

        return getattr(import_module(_HOMES[name]), name)


__all__ = ["set_testing", "verify"]
