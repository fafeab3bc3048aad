#!/bin/sh
# Checks the chain of one consultation without any of our programs:  curl …/events | sh chain.sh
# seq counts 1, 2, 3 … and each event names the SHA-256 of the line before it, as it was stored.
n=0 prev=0000000000000000000000000000000000000000000000000000000000000000
while IFS= read -r line; do
  n=$((n + 1))
  case $line in *'"seq":'$n,*'"prevhash":"'$prev'"'*) ;; *) echo "event $n does not follow" >&2; exit 1 ;; esac
  prev=$(printf %s "$line" | sha256sum | cut -c1-64)
done
[ $n -gt 0 ] && echo "$n events, the last is $prev"
