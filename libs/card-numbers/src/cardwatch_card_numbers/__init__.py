"""Card numbers: finding, masking and tokenising them."""
