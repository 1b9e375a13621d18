#!/bin/sh
# Write fresh secrets into a folder: ./make_secrets.sh [FOLDER]. It never replaces one.
# Losing INSTANT_MASTER_KEYS means losing every sealed value: keep a copy of the folder elsewhere.
set -eu
folder=${1:-$(dirname "$0")/secrets}

random() { head -c "$1" /dev/urandom | od -An -v -tx1 | tr -d ' \n'; }

# Docker mounts each file with the permissions that it has here, for a user whose number differs. So the files can be
# read, and the folder keeps everybody else out.
umask 022
mkdir -p "$folder"
chmod 700 "$folder"
cd "$folder"

write() {
    [ -e "$1" ] || printf '%s' "$2" >"$1"
}

write postgres_password "$(random 24)"
write INSTANT_DATABASE_URL "postgresql://instant_app:$(random 24)@postgres:5432/instant"
write INSTANT_OWNER_DATABASE_URL "postgresql://instant_owner:$(random 24)@postgres:5432/instant"
write INSTANT_PREFECT_DATABASE_URL "postgresql://prefect:$(random 24)@postgres:5432/prefect"
write INSTANT_PREFECT_AUTH_STRING "instant:$(random 24)"
write INSTANT_OPERATOR_TOKEN "$(random 24)"
write INSTANT_MASTER_KEYS "$(date -u +%Y)a:$(head -c 32 /dev/urandom | base64)"
