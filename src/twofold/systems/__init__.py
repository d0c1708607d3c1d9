"""Systems whose density is known, and generators of reference data."""
