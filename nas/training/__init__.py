"""Training: data on the device, one visible loop, the recipe."""
