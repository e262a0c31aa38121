"""A schema registry in memory."""

from collections.abc import Mapping

from cardwatch_contracts.schemas import schema_text
from cardwatch_contracts.topics import default_subject


class InMemoryRegistry:
    """Knows the project's own schemas under given ids, and further texts that a test adds.

    Attributes:
        texts: schema texts by id. Those that a test adds are versions of every subject.
        subjects: the subjects that were asked for, in order.
        asked: the ids that were asked for, in order.
        failures: raised by the next calls, one by each.
    """

    def __init__(self, schema_ids: Mapping[str, int]) -> None:
        self.texts = {schema_id: schema_text(name) for name, schema_id in schema_ids.items()}
        self.subjects: list[str] = []
        self.asked: list[int] = []
        self.failures: list[Exception] = []
        self._schema_ids = dict(schema_ids)

    def schema_by_id(self, schema_id: int) -> str | None:
        """A schema's text, None for an id that is not registered."""
        self.asked.append(schema_id)
        self._fail()
        return self.texts.get(schema_id)

    def ids_of_all_versions(self, subject: str) -> dict[int, str]:
        """The project's own schema of a subject, with any prefix, and all texts that a test has added."""
        self.subjects.append(subject)
        self._fail()
        others = {
            schema_id for name, schema_id in self._schema_ids.items() if not subject.endswith(default_subject(name))
        }
        return {schema_id: text for schema_id, text in self.texts.items() if schema_id not in others}

    def id_of(self, subject: str, schema_name: str) -> int:
        """The id of one of the project's own schemas; the subject does not matter."""
        return self._schema_ids[schema_name]

    def _fail(self) -> None:
        if self.failures:
            raise self.failures.pop(0)
