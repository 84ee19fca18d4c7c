"""The films of the samples for the course's lab about posters: real titles and years, and nothing else that is real."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Film:
    """A film before 1935."""

    title: str
    year: int

    @property
    def slug(self) -> str:
        """The title as the name of a file."""
        return "_".join("".join(one if one.isalnum() else " " for one in self.title.lower()).split())


FILMS = (
    Film("Au Secours!", 1924),
    Film("Battling Butler", 1926),
    Film("Brown of Harvard", 1926),
    Film("Little Annie Rooney", 1925),
    Film("The Great Train Robbery", 1903),
)
