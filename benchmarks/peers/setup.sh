#!/bin/sh
# Make a virtual environment for each program Glider is measured against.
#
#   benchmarks/peers/setup.sh FOLDER [PYTHON]
#
# One each, since their requirements contradict one another. None of them brings torch.
set -eu
folder=${1:?usage: setup.sh FOLDER [PYTHON]}
python=${2:-python3}
export PIP_DISABLE_PIP_VERSION_CHECK=1

make_venv() {
    name=$1
    shift
    "$python" -m venv "$folder/$name"
    "$folder/$name/bin/python" -m pip install --quiet "$@"
}

make_venv deepeval deepeval==4.3.1
make_venv prometheus-eval prometheus-eval==0.1.20
make_venv inspect-ai inspect-ai==0.3.285 openai
make_venv data-designer data-designer==0.9.7
# requests: distilabel imports it, and its own requirements no longer bring it.
make_venv distilabel distilabel==1.5.3 openai requests
