"""Public data sets: where they come from, what they hold, and how they get into a folder."""
