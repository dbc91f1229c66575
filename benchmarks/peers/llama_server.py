"""One llama.cpp server of the embedded model for the peers; stops when its stdin closes.

    python peers/llama_server.py --slots 4 --max-tokens 256

Prints its base URL. `--max-tokens` is the server's own limit for requests that name none, which
prometheus-eval's never do: without it a small model would write until its context is full.
"""

import argparse
import os
import sys

from glider.models.catalog import DEFAULT, find


def main() -> None:
    made = argparse.ArgumentParser(description=__doc__)
    made.add_argument("--slots", type=int, default=4)
    made.add_argument("--max-tokens", type=int, default=256)
    args = made.parse_args()

    import xllamacpp

    cores = len(os.sched_getaffinity(0))
    params = xllamacpp.CommonParams()
    params.model.path = str(find(DEFAULT).path)
    params.n_parallel = args.slots
    params.n_ctx = 4096 * args.slots
    params.n_predict = args.max_tokens
    params.cpuparams.n_threads = cores
    params.cpuparams_batch.n_threads = cores
    params.ui = False
    params.warmup = False
    params.verbosity = 0
    server = xllamacpp.Server(params)
    print(f"{server.listening_address}/v1", flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
