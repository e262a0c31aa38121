"""What a condition is compiled to: a tree of instructions that states every type; nothing converts by itself."""

from dataclasses import dataclass
from enum import StrEnum

from cardwatch_rules.type_check import Kind

Scalar = int | float | str | bool


class Op(StrEnum):
    """What an instruction computes. The value is the word in a program's JSON; docs/rule-program.md defines each."""

    LITERAL = "literal"
    FIELD = "field"
    MEASURE = "measure"
    PROFILE = "profile"
    AND = "and"
    OR = "or"
    NOT = "not"
    IS_NULL = "is_null"
    IS_TRUE = "is_true"
    IS_FALSE = "is_false"
    EQ = "eq"
    NE = "ne"
    LT = "lt"
    LE = "le"
    GT = "gt"
    GE = "ge"
    ADD = "add"
    SUB = "sub"
    MUL = "mul"
    DIV = "div"
    MOD = "mod"
    NEG = "neg"
    ABS = "abs"
    CEIL = "ceil"
    FLOOR = "floor"
    TO_DOUBLE = "to_double"
    GREATEST = "greatest"
    LEAST = "least"
    COALESCE = "coalesce"
    CASE = "case"
    LOWER = "lower"
    UPPER = "upper"
    LENGTH = "length"
    LEFT = "left"
    RIGHT = "right"
    LIKE = "like"
    IN = "in"
    IN_LIST = "in_list"
    IN_PROFILE = "in_profile"


@dataclass(frozen=True, slots=True)
class Expression:
    """One instruction and what it is applied to.

    Attributes:
        op: what it computes.
        type: the type of its values; never NULL.
        args: what it is applied to. All arguments of an instruction are of one type.
        when: the conditions of CASE; ``args`` are their values and, last, the value if none of them is true.
        value: what else the instruction needs: the value of LITERAL (None for null), the name of FIELD, the index of
            MEASURE, the name of PROFILE and IN_PROFILE without ``profile.``, the pattern of LIKE, the number of
            characters of LEFT and RIGHT, the values of IN, the list's name of IN_LIST.
    """

    op: Op
    type: Kind
    args: tuple["Expression", ...] = ()
    when: tuple["Expression", ...] = ()
    value: Scalar | tuple[Scalar, ...] | None = None

    @property
    def operand_type(self) -> Kind:
        """The type of its arguments."""
        return self.args[0].type


def literal_of(kind: Kind, value: Scalar | None) -> Expression:
    """A literal; None is null."""
    return Expression(Op.LITERAL, kind, value=value)
