#!/bin/sh
# Which programs there are, for the scripts that nodes install themselves with. The head puts it into both.

# The file of an installed program, but not busybox: a busybox shell runs its own rpm, dpkg, tar and wget, which can do
# less, even where others are installed.
program() ( # NAME
    IFS=:
    for directory in $PATH; do
        if [ -x "$directory/$1" ]; then
            case $("$directory/$1" --version 2>&1 </dev/null) in
            *BusyBox*) ;;
            *)
                echo "$directory/$1"
                exit
                ;;
            esac
        fi
    done
    exit 1
)
