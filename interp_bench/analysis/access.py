"""How deep techniques look into a model; on its own, since the command line lists it before anything runs."""

ACCESS = ("activations", "forward", "gradients", "weights")
"""Access to a model, the shallowest first; each takes in those before it."""
