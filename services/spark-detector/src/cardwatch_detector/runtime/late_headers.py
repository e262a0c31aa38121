"""Headers of the messages of ``transactions.late.v1``, all of them text: the detector writes, the lakehouse reads them.

A message's value is the silver message as it came. Detector, query and place in the silver topic are its identity: a
micro-batch that is done again publishes the same.
"""

from typing import Final

DETECTOR: Final = "detector"
QUERY: Final = "query"  # detectors that share a name differ by it
SCOPES: Final = "scopes"  # that did not evaluate it, comma separated
WATERMARK_US: Final = "watermark_us"  # microseconds since 1970
SILVER_PARTITION: Final = "silver_partition"
SILVER_OFFSET: Final = "silver_offset"
