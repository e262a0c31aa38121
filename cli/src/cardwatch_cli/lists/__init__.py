"""``cardwatch lists``: the commands, and the list files that they read and write."""
