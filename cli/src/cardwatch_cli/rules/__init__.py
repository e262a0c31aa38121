"""``cardwatch rules``: the commands, the rule files that they read, and how rules are shown."""
