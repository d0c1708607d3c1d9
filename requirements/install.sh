#!/bin/sh
# Make the environment FOLDER and install twofold in it, editable, with the versions that were tested.
#   install.sh FOLDER EXTRAS [PYTHON]
# Without PYTHON the first interpreter on the PATH that is new enough is taken, tested versions first.
set -eu
folder=$1 extras=$2 wanted=${3:-}
here=$(dirname "$0")

new_enough() {
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
}

find_python() {
    for name in ${wanted:-python3 python3.12 python3.11 python3.13 python}; do
        if new_enough "$name"; then
            echo "$name"
            return
        fi
    done
    found=$("${wanted:-python3}" --version 2>/dev/null || echo "no ${wanted:-python3}")
    echo "twofold needs Python 3.11 or newer; found: $found" >&2
    echo "Install one and name it: make install PYTHON=python3.12" >&2
    return 1
}

make_environment() {
    "$python" -m venv "$folder" && return
    rm -rf "$folder" # what a failed attempt left
    # some distributions ship Python without ensurepip
    if "$python" -m pip --version >/dev/null 2>&1 && "$python" -m venv --without-pip "$folder" \
        && "$python" -m pip --python "$folder/bin/python" install --quiet pip; then
        return
    fi
    rm -rf "$folder"
    echo "$python cannot make a virtual environment: install its venv module (Debian, Ubuntu: python3-venv)" >&2
    return 1
}

if [ -x "$folder/bin/python" ] && ! new_enough "$folder/bin/python"; then
    echo "$folder has $("$folder/bin/python" --version 2>&1); twofold needs 3.11 or newer: remove it (make clean)" >&2
    exit 1
fi
if ! "$folder/bin/python" -m pip --version >/dev/null 2>&1; then
    python=$(find_python)
    echo "Making $folder with $("$python" --version); downloads up to 350 MB of packages"
    make_environment
fi

# the versions of Python 3.12 serve every later one too
if "$folder/bin/python" -c 'import sys; sys.exit(sys.version_info >= (3, 12))'; then
    versions=$here/py311.txt
else
    versions=$here/py312.txt
fi
echo "Installing twofold with the versions of $versions"
"$folder/bin/python" -m pip install --quiet --disable-pip-version-check --constraint "$versions" --editable ".[$extras]"
