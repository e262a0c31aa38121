"""Java's classes and their static methods, which Python asks for by name: each once.

PySpark names them anew for each column, literal and ``select``, and Py4J then looks for a short name in one package
after the other: each miss goes through all jars on the class path, some three hundred (what that took:
docs/decisions/0021-py4j-class-lookups.md).
"""

from typing import Any

from py4j.java_gateway import JavaClass, JavaMember, JavaPackage, JVMView
from pyspark.sql import SparkSession


class _Class(JavaClass):  # type: ignore[misc]  # Py4J has no types
    def __getattr__(self, name: str) -> Any:
        found = super().__getattr__(name)
        if isinstance(found, JavaMember):  # and not a static field: its value may change
            self.__dict__[name] = found
        return found


class _Names(JVMView):  # type: ignore[misc]  # as above
    def __getattr__(self, name: str) -> Any:
        found = super().__getattr__(name)
        if isinstance(found, JavaClass):
            found.__class__ = _Class
        if isinstance(found, JavaClass | JavaPackage):
            self.__dict__[name] = found
        return found


def cache_class_lookups(session: SparkSession) -> None:
    """Have a session look up each of Java's names once; they stand for the same as long as Java runs."""
    jvm: Any = session.sparkContext._jvm
    jvm.__class__ = _Names
