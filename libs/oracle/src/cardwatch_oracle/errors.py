"""What can be wrong with the oracle's input."""


class OracleError(Exception):
    """The expected alerts cannot be computed from this input; the message is one sentence for the user."""
