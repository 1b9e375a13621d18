-- name: ask()
-- Ask for a sync, and wake the launchers. While one is asked for, this writes nothing.
UPDATE price_syncs SET asked_at = now()
WHERE asked_at IS NULL OR asked_at <= began_at
RETURNING pg_notify('catalog_outdated', '') IS NULL AS told;

-- name: claim(pause_seconds)$
-- Take the sync that was asked for, unless such a sync began a short time ago, or a scheduled one has done its work since.
UPDATE price_syncs SET began_at = now()
WHERE asked_at > coalesce(began_at, '-infinity')
    AND coalesce(began_at, '-infinity') < now() - make_interval(secs => :pause_seconds)
    AND NOT EXISTS (
        SELECT FROM schedules
        WHERE name = 'catalog_sync' AND schedules.began_at > price_syncs.asked_at
            AND schedules.succeeded_at >= schedules.began_at
    )
RETURNING true;
