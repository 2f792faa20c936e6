#!/bin/sh
# Make a virtual environment with a Python that is new enough.
#
#   tools/make_venv.sh FOLDER [PYTHON]
#
# Without PYTHON the first of the candidates that is new enough and can make an environment is taken. An environment
# that is there already is kept; if PYTHON is another version than it has, that is an error and not a silent choice.
# Must not live here: what is installed into the environment (Makefile).
set -eu

folder=$1
wanted=${2:-}
version='import sys; print("%d.%d" % sys.version_info[:2])'
new_enough='import sys; sys.exit(sys.version_info < (3, 11))'

fail() {
    for line in "$@"; do echo "$line" >&2; done
    exit 1
}

keep_what_is_there() {
    [ -n "$wanted" ] || exit 0
    there=$("$folder/bin/python" -c "$version")
    asked=$("$wanted" -c "$version" 2>/dev/null) || fail "PYTHON=$wanted does not run"
    [ "$there" = "$asked" ] || fail "$folder has Python $there, PYTHON=$wanted is $asked:" \
        "remove $folder, or name another folder: VENV=.venv-$asked"
    exit 0
}

make_with() {
    if "$1" -c 'import venv, ensurepip' 2>/dev/null; then
        "$1" -m venv "$folder"
    elif "$1" -c 'import virtualenv' 2>/dev/null; then
        "$1" -m virtualenv --quiet "$folder"
    elif command -v virtualenv >/dev/null; then
        virtualenv --quiet --python "$1" "$folder"
    else
        return 1
    fi
}

"$folder/bin/python" -c '' 2>/dev/null && keep_what_is_there

without_venv=
for python in ${wanted:-python3.13 python3.12 python3.11 python3 python}; do
    "$python" -c "$new_enough" 2>/dev/null || continue
    if make_with "$python"; then
        rm -f "$folder"/.installed* # what an older environment in this folder had
        echo "$folder: Python $("$folder/bin/python" -c "$version")"
        exit 0
    fi
    without_venv=$python
done

[ -z "$without_venv" ] || fail "$without_venv cannot make a virtual environment: its modules venv and ensurepip are missing." \
    "Install them (Debian and Ubuntu: apt install python3-venv), or install virtualenv, or choose another: make PYTHON=..."
[ -z "$wanted" ] || fail "PYTHON=$wanted is not a Python of version 3.11 or newer that runs"
fail "no Python of version 3.11 or newer was found; install one, or name it: make PYTHON=/path/to/python3"
