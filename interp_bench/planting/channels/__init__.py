"""Circuits planted in the channel groups of convolutional networks."""
