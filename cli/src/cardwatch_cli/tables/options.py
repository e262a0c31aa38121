"""Options of several commands that read the tables."""

from typing import Annotated, Final

import typer

TablesDirOption = Annotated[
    str,
    typer.Option(
        envvar="CARDWATCH_LAKEHOUSE_TABLES_DIR",
        help="Directory that contains bronze, silver and gold: a path, s3a://, abfss:// or gs://.",
    ),
]
TABLES_DIR: Final = ".cardwatch/tables"
