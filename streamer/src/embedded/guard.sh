# Runs a server, and ends it when standard input ends, which is when the streamer does, in whatever way.
#
# Arguments: the folder of the socket, then the server's command line. Standard input is a pipe from
# the streamer, standard output the server's lock file, standard error the log.

# A shutdown of the whole machine or service signals everybody. The server must stay while the
# streamer finishes its work.
trap '' HUP INT TERM
socket=$1
shift
exec 3<&0

# All processes of the server hold the lock file, and only they: it is free when they are gone.
"$@" <&1 >&2 3<&- &
server=$!
exec >&2

# Nothing is ever written to the pipe, so "read" returns when its other end is closed. INT is the
# fast shutdown; it is repeated because a server that has just been started does not hear it yet.
(
    read -r nothing <&3
    while kill -INT "$server"; do sleep 1; done
) 2>/dev/null &
watcher=$!
exec 3<&-

wait "$server"
kill -KILL "$watcher"
rmdir -- "$socket" 2>/dev/null
exit 0
