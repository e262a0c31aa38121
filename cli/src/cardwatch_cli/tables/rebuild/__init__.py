"""``cardwatch tables rebuild``: tables computed again from bronze, beside the live ones, and compared with them."""
