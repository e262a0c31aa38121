"""Tables of plain text that commands print for people."""

from collections.abc import Collection, Sequence

from cardwatch_service.printable import escape_control_characters


def format_table(rows: Sequence[Sequence[str]], *, align_right: Collection[int] = ()) -> str:
    """Lines of text with columns that are as wide as their widest cell, two spaces apart; control characters escaped.

    Args:
        rows: of the same length each; the first one holds the headings. The last column is not padded.
        align_right: the columns, counted from 0, whose cells are aligned to the right, such as numbers.
    """
    rows = [[escape_control_characters(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for *cells, last in rows:
        padded = [
            cell.rjust(width) if place in align_right else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(cells, widths[:-1], strict=True))
        ]
        lines.append("  ".join([*padded, last]).rstrip())
    return "\n".join(lines)
