"""Results as pictures: pure functions of the costs."""
