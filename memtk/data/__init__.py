"""The images of a run: found, checked, split by patient, prepared once."""
