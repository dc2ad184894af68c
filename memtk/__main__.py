"""`python -m memtk`, for launchers such as `accelerate launch -m memtk`."""

from memtk.cli import main

main()
