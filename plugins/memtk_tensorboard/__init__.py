"""Logs the losses of a run for TensorBoard. The plugin is the module `watcher`."""
