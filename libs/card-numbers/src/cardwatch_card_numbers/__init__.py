"""Card numbers (PANs): how they are found, masked and turned into tokens, for every service alike.

scanner          what counts as a card number in a text, for acceptance and masking alike
issuers          the ranges of the card schemes
check_digits     the Luhn algorithm
exemptions       values of our own fields that look like card numbers by chance only
folding          digits and separators of any script, and escapes, as ASCII
masking          replacing what the scanner finds by ``*``, in text and bytes
json_masking     the same in JSON, which stays JSON
json_documents   parsing JSON within limits of depth and size
avro_masking     the same in Avro, by its schema
sensitive_names  fields that are never kept: security codes, PINs, track data
tokens           the token, BIN and last four digits that stand for a card number
testing          the test cases for all code that finds or masks card numbers
"""
