#!/bin/bash
# Make both databases, their roles, and the roles' passwords, which are those in the URLs. Postgres's image runs it once,
# in an empty volume; libpq's variables and ROLES let it run elsewhere.
set -euo pipefail
secrets=${SECRETS:-/run/secrets}
roles=${ROLES:-/roles}
export PGUSER=${POSTGRES_USER:-${PGUSER:-postgres}}

password() { sed -E 's|^[^:]+://[^:]+:([^@]+)@.*$|\1|' "$secrets/$1"; }

for database in instant prefect; do
    # Whatever the cluster was made with: text is UTF-8.
    createdb --maintenance-db=postgres --template=template0 --encoding=UTF8 --locale=C.UTF-8 "$database"
    psql --quiet --no-psqlrc --set=ON_ERROR_STOP=1 --dbname="$database" --file="$roles/$database.sql"
done
# On standard input: arguments can be seen by every process.
psql --quiet --no-psqlrc --set=ON_ERROR_STOP=1 --dbname=postgres <<SQL
ALTER ROLE instant_app PASSWORD '$(password INSTANT_DATABASE_URL)';
ALTER ROLE instant_owner PASSWORD '$(password INSTANT_OWNER_DATABASE_URL)';
ALTER ROLE prefect PASSWORD '$(password INSTANT_PREFECT_DATABASE_URL)';
-- It records orchestration, not money: a power cut may lose its last moment.
ALTER DATABASE prefect SET synchronous_commit = off;
SQL
