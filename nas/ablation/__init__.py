"""Studies: which factors of a search matter, and by how much."""
