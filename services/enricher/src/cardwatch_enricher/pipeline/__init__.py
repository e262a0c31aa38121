"""What happens to one message, without any I/O: raw message in, silver record or dead letter out.

decode_json       a JSON message becomes a record of ``transaction.avsc``
tokeniser         a card number in JSON becomes its token, BIN and last four digits
validator         which values are refused, and why
enricher          what is added
dead_letters      what is kept of a refused message
pipeline          all of these in order
"""
