"""One module a dashboard; each has a function that makes it."""
