"""Helpers for your own tests: ``set_testing``, and the module ``record``.

The fixtures are in ``plugin``, which pytest loads by itself. Names are imported when first used, since every run of
pytest loads this package, even if it does not need Personalize.
"""

TYPE_CHECKING = False

if TYPE_CHECKING:
    from personalize_rt.testing.waiting import set_testing
else:

    def __getattr__(name):
        if name != "set_testing":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from personalize_rt.testing.waiting import set_testing

        return set_testing


__all__ = ["set_testing"]
