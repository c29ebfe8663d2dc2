"""Which files of a source are not read."""

from __future__ import annotations

from collections.abc import Callable

from reconciler.gitops.tree import SourceError


def ignored_by(text: str | None) -> Callable[[str], bool]:
    """A test of paths, relative to the top of the source.

    Args:
        text: patterns in the notation of .gitignore.

    Raises:
        SourceError: a pattern cannot be understood.
    """
    if not text:
        return lambda _path: False
    import pathspec

    try:
        spec = pathspec.GitIgnoreSpec.from_lines(text.splitlines())
    except ValueError as error:
        msg = f"ignore: {error}"
        raise SourceError(msg) from error
    return spec.match_file
