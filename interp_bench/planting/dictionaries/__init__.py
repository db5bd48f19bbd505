"""Dictionaries: many sparse features at one site, their statistics, their plant and its proof."""
