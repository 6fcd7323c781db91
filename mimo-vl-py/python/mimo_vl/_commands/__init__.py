"""The commands of the console program `mimo-vl`."""
