"""Models of other libraries. Each module runs in an environment of its own, which holds the library and attrs."""
