"""Many requests: run them at the pace that the service holds, keep what was done, and go on where it stopped."""
