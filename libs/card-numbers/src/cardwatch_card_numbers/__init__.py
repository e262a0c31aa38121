"""Card numbers (PANs): how they are found, masked and turned into tokens, for every service alike.

detection   what counts as a card number in a text that is checked
scanner     where digits are that may be a card number, in three degrees of suspicion
masking     replacing those digits by ``*``: in text, in bytes of known or unknown structure, in JSON
tokens      the token, BIN and last four digits that stand for a card number
testing     the test cases for all code that masks card numbers
"""
