"""``cardwatch alerts``: the commands, and the feedback files that they read."""
