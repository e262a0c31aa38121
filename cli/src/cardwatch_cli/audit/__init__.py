"""``cardwatch audit``, and the audit trail as the source of histories."""
