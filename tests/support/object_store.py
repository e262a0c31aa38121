"""A server with S3's protocol (moto), as a process of its own."""

import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import boto3
from botocore.exceptions import BotoCoreError
from cardwatch_platform.ports import HOST, free_port

from support.waiting import wait_until

BUCKET: Final = "lake"
WAIT_SECONDS: Final = 240.0  # the machine may be busy with other tests


class ObjectStore:
    """A test's own in-memory server with one bucket."""

    def __init__(self, directory: Path) -> None:
        self.variables = {
            "AWS_ENDPOINT_URL": f"http://{HOST}:{free_port()}",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": "eu-central-1",
        }
        port = self.variables["AWS_ENDPOINT_URL"].rpartition(":")[2]
        # A process of its own: delta-rs holds Python's lock while it waits for an answer.
        command = [sys.executable, "-m", "moto.server", "-H", HOST, "-p", port]
        with (directory / "store.log").open("wb") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        self.client: Any = boto3.client(
            "s3",
            endpoint_url=self.variables["AWS_ENDPOINT_URL"],
            aws_access_key_id="test",
            aws_secret_access_key="test",
            region_name="eu-central-1",
        )

        def there() -> bool:
            try:
                self.client.create_bucket(
                    Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"}
                )
            except BotoCoreError:
                return False
            return True

        wait_until(there, "store", seconds=WAIT_SECONDS)

    def names(self, prefix: str) -> list[str]:
        """The objects under a prefix, a thousand at most."""
        return [found["Key"] for found in self.client.list_objects_v2(Bucket=BUCKET, Prefix=prefix).get("Contents", ())]

    def stop(self) -> None:
        """End the server; its objects are gone."""
        self.process.kill()
        self.process.wait()
