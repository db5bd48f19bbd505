"""The live network behind one handle: sites, recording, patching, gradients, circuit graph."""
