"""The name and the state of one query of a detector."""

from dataclasses import dataclass

from pyspark.sql import SparkSession

from cardwatch_detector.runtime.hadoop_files import HadoopFiles
from cardwatch_detector.runtime.internals import state_layout
from cardwatch_detector.velocity.plan import VelocityPlanner
from cardwatch_detector.velocity.state.place import StatePlace
from cardwatch_detector.velocity.state.published import has_published
from cardwatch_detector.velocity.state.record import StateRecord
from cardwatch_detector.velocity.state.usable import usable_checkpoint
from cardwatch_detector.velocity.token_views import checkpoint_name


@dataclass(frozen=True)
class QueryState:
    """The state of the query that a planner plans.

    Attributes:
        key_id: the name of the token key without a rotation: a rotation before may have begun this key's state.
    """

    planner: VelocityPlanner
    key_id: str

    @property
    def query(self) -> str:
        """The query's name in Spark, in metrics and in the checkpoint's path: other scopes are another state."""
        return self._scopes_name + (self.planner.view.query_suffix if self.planner.view else "")

    @property
    def is_second_view(self) -> bool:
        """Whether the query is the view of a next token key, which begins beside another one."""
        return self.planner.view is not None and self.planner.view.is_next

    @property
    def _scopes_name(self) -> str:
        return "-".join(("velocity", *sorted(self.planner.scopes)))

    def checkpoint(self, session: SparkSession) -> str:
        """The path of the state, which this process can go on with or begin.

        Raises:
            CardwatchError: it cannot: the state is lost, damaged, of another layout or of other settings.
        """
        service, scopes = self.planner.service, self.planner.scopes
        return usable_checkpoint(
            self.place(session),
            self.record(),
            is_second_view=self.is_second_view,
            has_published=lambda: has_published(service, scopes),
        )

    def place(self, session: SparkSession) -> StatePlace:
        """Where the state is: where it began as the view of a next token key, or where it always was."""
        view = self.planner.view
        key_id = self.key_id if view is None else view.checkpoint_key_id
        files, directory = HadoopFiles(session), self.planner.settings.checkpoint_dir
        own = StatePlace(files, directory, checkpoint_name(self._scopes_name, key_id))
        return own if self.is_second_view or own.is_there() else StatePlace(files, directory, self._scopes_name)

    def record(self) -> StateRecord:
        """What state of the query is made with now.

        Raises:
            ConfigurationError: the rule engine is not there.
        """
        settings, scopes = self.planner.settings, tuple(sorted(self.planner.scopes))
        horizons_us = {scope: settings.horizon_us(scope) for scope in scopes}
        return StateRecord(state_layout(), scopes, settings.partitions, horizons_us)
