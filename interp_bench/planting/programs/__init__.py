"""Random typed programs over tokens, and their compilation into heads and neurons."""
