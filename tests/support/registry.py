"""A schema registry in memory."""

from collections.abc import Mapping

from cardwatch_contracts.schemas import schema_text


class InMemoryRegistry:
    """Knows the project's own schemas under given ids, and further texts that a test adds.

    Attributes:
        texts: schema texts by id; a test may add some.
        asked: the ids that were asked for, in order.
        failures: raised by the next calls, one by each.
    """

    def __init__(self, schema_ids: Mapping[str, int]) -> None:
        self.texts = {schema_id: schema_text(name) for name, schema_id in schema_ids.items()}
        self.asked: list[int] = []
        self.failures: list[Exception] = []
        self._schema_ids = dict(schema_ids)

    def schema_by_id(self, schema_id: int) -> str | None:
        """A schema's text, None for an id that is not registered."""
        self.asked.append(schema_id)
        if self.failures:
            raise self.failures.pop(0)
        return self.texts.get(schema_id)

    def id_of(self, subject: str, schema_name: str) -> int:
        """The id of one of the project's own schemas; the subject does not matter."""
        return self._schema_ids[schema_name]
