"""Headers of the messages of ``transactions.late.v1``, all of them text; a message's value is the silver message.

Detector, query and position in the silver topic identify a message: a repeated micro-batch publishes the same ones.
"""

from typing import Final

DETECTOR: Final = "detector"
QUERY: Final = "query"  # tells apart detectors of one name
SCOPES: Final = "scopes"  # the scopes that did not evaluate it, comma separated
WATERMARK_US: Final = "watermark_us"  # microseconds since 1970-01-01 UTC
SILVER_PARTITION: Final = "silver_partition"
SILVER_OFFSET: Final = "silver_offset"
