"""Trains, samples and embeds: devices and processes, precision, averages, checkpoints, resume."""
