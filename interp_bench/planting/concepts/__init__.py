"""Labelled variables: what they cause, how they travel along depth, and how both are certified."""
