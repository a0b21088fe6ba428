"""What happens when a call is slow or fails: one policy a file, each of which decides and never waits."""
