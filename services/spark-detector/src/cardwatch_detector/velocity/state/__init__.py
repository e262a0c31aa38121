"""Where a query's state is, what it was made with, and whether this process can go on with it."""
