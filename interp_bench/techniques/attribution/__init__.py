"""Techniques of the attribution track: which parts of the input decided this output?"""
