"""Files that are written whole or not at all, and the folder of a run: what reads and writes, whatever is in it."""
