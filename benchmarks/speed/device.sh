#!/usr/bin/env bash
# What a GPU gives beside the CPU of the same machine: training, sampling, embedding, search; at
# most five minutes.
#     benchmarks/speed/device.sh            # on the GPU
#     benchmarks/speed/device.sh cpu        # tries the script itself, where there is none
set -euo pipefail
cd "$(dirname "$0")/../.."
exec timeout 300 "${PYTHON:-python}" benchmarks/speed/device.py --device "${1:-cuda}"
