"""Training: one loop that drives the flows of all methods, on Lightning Fabric."""
