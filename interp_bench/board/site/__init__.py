"""The static site: trials to one folder of pages that works from a disk, without any server."""
