"""Parts of a model that training leaves alone."""

import equinox as eqx


class Fixed(eqx.Module):
    """A module whose arrays are tables made from data; training leaves them as they are."""
