"""The harness: which trials there are, running them under guards, and storing them."""
