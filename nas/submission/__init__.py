"""MLPerf Tiny submissions: what their tree must be, and whether one is."""
