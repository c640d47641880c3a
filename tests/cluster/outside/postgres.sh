#!/bin/sh
# PostgreSQL on /data for user 1000: made at the first start with the databases `records` and `jupyterhub`, password from /secret.
set -eu
bin=$(echo /usr/lib/postgresql/*/bin)
data=/data/cluster
if [ ! -d "$data" ]; then
  rm -rf "$data.partial"
  "$bin/initdb" --auth=scram-sha-256 --username=cohortlab --pwfile=/secret/password --encoding=UTF8 --locale=C.UTF-8 --pgdata "$data.partial"
  echo 'host all all all scram-sha-256' >> "$data.partial/pg_hba.conf"
  for name in records jupyterhub; do
    echo "CREATE DATABASE $name;" | "$bin/postgres" --single -D "$data.partial" -c unix_socket_directories=/tmp postgres
  done
  mv "$data.partial" "$data"
fi
exec "$bin/postgres" -D "$data" -c listen_addresses='*' -c unix_socket_directories=/tmp
