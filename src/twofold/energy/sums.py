"""Energies side by side: what is known of a system beside a network that learns the rest."""

from __future__ import annotations

from jaxtyping import Array, Float

from twofold.energy.base import Energy, System


class Sum(Energy):
    """The sum of its terms, at least one, all of which take the same coordinates."""

    terms: tuple[Energy, ...]

    @property
    def augment_rotation(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        return any(term.augment_rotation for term in self.terms)

    @property
    def like_beads(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        return all(term.like_beads for term in self.terms)

    @property
    def conservative_to(self) -> float:
        return min(term.conservative_to for term in self.terms)

    def entries(self, system: System, count: int) -> int:
        return max(term.entries(system, count) for term in self.terms)

    def energy(self, system: System, x: Float[Array, ...], sigma: Float[Array, ""]) -> Float[Array, ""]:
        first, *others = (term.energy(system, x, sigma) for term in self.terms)
        return sum(others, first)

    def score(self, system: System, x: Float[Array, ...], sigma: Float[Array, ""]) -> Float[Array, ...]:
        first, *others = (term.score(system, x, sigma) for term in self.terms)
        return sum(others, first)

    def at_level(self, sigma: float) -> Sum:
        return Sum(tuple(term.at_level(sigma) for term in self.terms))
