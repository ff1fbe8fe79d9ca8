#!/bin/sh
# Sets the repository up and then becomes the program: sh scripts/with-node.sh FILE ARGS...
# FILE runs under the project's own Node. As the shell is replaced, no process stands between the caller and the program:
# signals arrive once, and the exit code and standard streams are the program's own.
node_path=$(node "$(dirname "$0")/setup.mjs" --print-node) || exit $?
exec "$node_path" "$@"
