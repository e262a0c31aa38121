"""Tables of plain text that commands print for people."""

from collections.abc import Collection, Sequence


def format_table(rows: Sequence[Sequence[str]], *, align_right: Collection[int] = ()) -> str:
    """Lines of text with columns that are as wide as their widest cell, two spaces apart.

    Args:
        rows: of the same length each; the first one holds the headings. The last column is not padded.
        align_right: the columns, counted from 0, whose cells are aligned to the right, such as numbers.
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for *cells, last in rows:
        padded = [
            cell.rjust(width) if place in align_right else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(cells, widths[:-1], strict=True))
        ]
        lines.append("  ".join([*padded, last]).rstrip())
    return "\n".join(lines)
