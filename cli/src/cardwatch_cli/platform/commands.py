"""``cardwatch platform``: the embedded Kafka and schema registry."""

import shlex
import time
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final

import typer
from cardwatch_contracts.errors import PlatformError
from cardwatch_platform import EmbeddedPlatform, PlatformSettings, RichReporter
from cardwatch_platform import daemon as platform_daemon
from cardwatch_platform.artifacts import LOCK_PATH, load_lock
from cardwatch_platform.embedded import START_TIMEOUT_SECONDS, spark_classpath
from cardwatch_platform.lock_writer import write_lock
from cardwatch_service.tables import print_table
from rich.console import Console

_NOT_UP_EXIT_CODE: Final = 3
_POLL_SECONDS: Final = 0.5

app = typer.Typer(
    help="Kafka and a schema registry on this machine, without Docker and without Java being installed.\n\n"
    "Missing files are downloaded once into the user's cache directory (CARDWATCH_CACHE_DIR) and checked against "
    "pinned checksums. CARDWATCH_MAVEN_REPOSITORY names a mirror to download from.",
    no_args_is_help=True,
)

HomeOption = Annotated[
    Path,
    typer.Option("--home", envvar="CARDWATCH_HOME", help="Directory with the platform's data, logs and state."),
]
_DEFAULT_HOME: Final = Path(".cardwatch")


@app.command()
def up(
    home: HomeOption = _DEFAULT_HOME,
    foreground: Annotated[
        bool, typer.Option("--foreground", help="Keep running, and stop the platform with Ctrl-C or SIGTERM.")
    ] = False,
    timeout: Annotated[
        float, typer.Option(min=1, help="Seconds in which both services must become healthy.")
    ] = START_TIMEOUT_SECONDS,
) -> None:
    """Start the platform and return when it is healthy; it runs until `down`.

    Topics, messages, schemas and their ids are kept in the home directory from one run to the next.
    """
    console = Console(stderr=True)
    settings = PlatformSettings()
    with RichReporter(console) as reporter:
        if foreground:
            with EmbeddedPlatform(
                home, settings=settings, reporter=reporter, start_timeout_seconds=timeout
            ) as platform:
                console.print("Press Ctrl-C to stop.")
                _watch(platform)
            console.print("The platform has stopped.")
            return
        began = time.monotonic()
        state, started = platform_daemon.up(home, settings, reporter, timeout)
    if started:
        console.print(f"The platform is up ({time.monotonic() - began:.1f} s).", highlight=False)
    else:
        console.print(
            f"The platform is up already: Kafka at {state.bootstrap_servers}, schema registry at {state.registry_url}",
            highlight=False,
            soft_wrap=True,
        )


@app.command()
def down(home: HomeOption = _DEFAULT_HOME) -> None:
    """Stop the platform. Its data stays. It is not an error if the platform does not run."""
    stopped = platform_daemon.down(home)
    Console(stderr=True).print(f"Stopped {' and '.join(stopped)}." if stopped else "The platform was not running.")


@app.command()
def status(home: HomeOption = _DEFAULT_HOME) -> None:
    """Show each component. Exit code 0 if all are up, 3 if not."""
    statuses = platform_daemon.status(home)
    print_table(
        ("component", "state", "address", "pid", "since"),
        [
            (
                entry.name,
                entry.state,
                entry.address,
                entry.component.pid if entry.component else None,
                f"{datetime.fromisoformat(entry.component.since).astimezone():%Y-%m-%d %H:%M:%S}"
                if entry.component
                else None,
            )
            for entry in statuses
        ],
    )
    if any(entry.state != "up" for entry in statuses):
        raise typer.Exit(_NOT_UP_EXIT_CODE)


@app.command()
def env(home: HomeOption = _DEFAULT_HOME) -> None:
    """Print the settings of services that use the platform, for a shell: eval "$(cardwatch platform env)"."""
    for name, value in platform_daemon.exports(home, PlatformSettings()).items():
        print(f"export {name}={shlex.quote(value)}")


class Store(StrEnum):
    """A kind of object store, by the set of jars that it needs."""

    S3 = "s3"


@app.command()
def jars(
    store: Annotated[Store | None, typer.Option("--for", help="Include the jars for an object store.")] = None,
) -> None:
    """Print the class path of Spark's jars: export CARDWATCH_SPARK_CLASSPATH="$(cardwatch platform jars --for s3)"."""
    print(spark_classpath(PlatformSettings(), load_lock(), *(() if store is None else (store.value,))))


@app.command()
def lock() -> None:
    """For maintainers: resolve the artifacts again and write their sizes and checksums into the lock file."""
    console = Console(stderr=True)
    with RichReporter(console) as reporter:
        written = write_lock(PlatformSettings(), reporter)
    for name, artifacts in sorted(written.sets.items()):
        console.print(f"{name}: {len(artifacts)} files, {written.size(name) / 1e6:.1f} MB", highlight=False)
    console.print(f"Written: {LOCK_PATH}", soft_wrap=True, highlight=False)


def _watch(platform: EmbeddedPlatform) -> None:
    """Wait for Ctrl-C, SIGTERM or SIGHUP.

    Raises:
        PlatformError: a service has ended unexpectedly.
    """
    try:
        while (failure := platform.failed()) is None:
            time.sleep(_POLL_SECONDS)
    except KeyboardInterrupt:
        return
    raise PlatformError(failure)
