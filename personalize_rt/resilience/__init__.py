"""Policies for slow and failing calls, one in each file. A policy decides and never waits."""
