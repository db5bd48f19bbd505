"""Published orderings of techniques, measured anew with this package on planted truth."""
