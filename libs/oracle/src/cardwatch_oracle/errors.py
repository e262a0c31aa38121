"""The error of the oracle."""


class OracleError(Exception):
    """The expected alerts cannot be computed from this input; the message is one sentence for the user."""
