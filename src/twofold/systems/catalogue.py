"""All systems that a fit can be asked for by name."""

from __future__ import annotations

from twofold.systems.clusters import CLUSTERS
from twofold.systems.known import KnownSystem
from twofold.systems.toys import LANDSCAPES

SYSTEMS: dict[str, KnownSystem] = {**LANDSCAPES, **CLUSTERS}
