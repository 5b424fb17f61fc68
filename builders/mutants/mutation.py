"""One defect of the table, and the check that the table still fits the code."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from igmu_data.errors import InputError


class StaleTableError(InputError):
    """The code has moved on, and a mutation no longer says where it belongs."""


@dataclass(frozen=True, slots=True)
class Mutation:
    """A small defect, as somebody could make it by mistake.

    Args:
        name: what the lists call it.
        file: that it is planted in, from the root of the checkout.
        old: text that stands there exactly once.
        new: what stands there instead.
        tests: that must notice, as pytest takes them: files, or `file::test`.
        harm: what would be wrong without them.
    """

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]
    harm: str

    def applied(self, source: str) -> str:
        """The text of the file with the defect.

        Raises:
            StaleTableError: the old text is not there, or more than once.
        """
        if (n := source.count(self.old)) != 1:
            raise StaleTableError(
                f"mutant {self.name}: {self.old!r} stands {n} times in {self.file}, not once. Write down what stands "
                "there now (builders/mutants)."
            )
        return source.replace(self.old, self.new)


def checked(mutations: tuple[Mutation, ...], root: Path) -> None:
    """Refuse a table that does not fit the code.

    Raises:
        StaleTableError: the first mutation that cannot be planted, or whose tests do not exist.
    """
    for one in mutations:
        if not (root / one.file).is_file():
            raise StaleTableError(f"mutant {one.name}: no file {one.file}. Write down where the code is now.")
        one.applied((root / one.file).read_text(encoding="utf-8"))
        for test in one.tests:
            file, _, name = test.partition("::")
            path = root / file
            if not path.is_file() or (name and f"def {name.partition('[')[0]}(" not in path.read_text("utf-8")):
                raise StaleTableError(f"mutant {one.name}: no test {test}. Name the one that should notice it.")
