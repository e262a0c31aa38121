"""What an alert is: the values of ``status`` in alert.avsc."""

from typing import Final

RAISED: Final = "raised"
SUPPRESSED: Final = "suppressed"
RETRACTED: Final = "retracted"
