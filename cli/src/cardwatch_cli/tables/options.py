"""Options that commands about the tables share."""

from typing import Annotated, Final

import typer

TablesDirOption = Annotated[
    str,
    typer.Option(
        envvar="CARDWATCH_LAKEHOUSE_TABLES_DIR",
        help="Directory with bronze, silver and gold in it: a path, s3a://, abfss:// or gs://.",
    ),
]
TABLES_DIR: Final = ".cardwatch/tables"
