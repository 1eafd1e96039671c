"""How good generated images are, and the gate that decides which of them enter a pool."""
