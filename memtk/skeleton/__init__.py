"""The package of a plugin to begin with: what `memtk plugins new` writes."""
