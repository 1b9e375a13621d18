-- name: newest_sealed()
-- The newest values under each master key, of those that are kept for as long as their owners: provider keys, prompt
-- templates, addresses of notices and webhooks. An envelope begins with 0x01, the length of the key's id, and the id. Several of
-- them, because a single row may be damaged.
-- types: row=SealedRow key_id! account_id! row_id! place! sealed!
SELECT key_id, account_id, row_id, place, sealed
FROM (
    SELECT place, account_id, row_id, sealed, substring(sealed FROM 3 FOR get_byte(sealed, 1)) AS key_id,
        row_number() OVER (
            PARTITION BY substring(sealed FROM 3 FOR get_byte(sealed, 1)) ORDER BY stored_at DESC, row_id
        ) AS age
    FROM sealed_values()
    WHERE place IN ('provider_keys.sealed_key', 'resource_versions.sealed_template', 'notice_addresses.sealed_url',
            'webhooks.sealed_endpoint')
    -- A damaged value may be too short to have an id.
        AND length(sealed) > 2 AND substring(sealed FROM 1 FOR 1) = '\x01'
) AS numbered
WHERE age <= 3;

-- name: count_sealed()
-- How many values each master key sealed, by column; NULL for what is no envelope. Only the head of a value is read,
-- because answers are long.
-- types: row=SealedCountRow place! values!
SELECT place, CASE WHEN length(head) > 2 AND substring(head FROM 1 FOR 1) = '\x01'
        THEN substring(head FROM 3 FOR get_byte(head, 1)) END AS key_id,
    count(*) AS values
FROM (SELECT place, substring(sealed FROM 1 FOR 257) AS head FROM sealed_values()) AS heads
GROUP BY 1, 2
ORDER BY 1, 2;

-- name: stale(place, after, newest, most, most_bytes)
-- The next values of one column, by row, that are not under the newest key: their heads differ from its own. At most so
-- many, and no more bytes than the first of them needs or `most_bytes`, because a request may hold pictures.
-- types: row=StaleRow account_id! row_id! sealed! :newest!
SELECT account_id, row_id, sealed
FROM (
    SELECT account_id, row_id, sealed,
        sum(length(sealed)) OVER (ORDER BY row_id ROWS UNBOUNDED PRECEDING) - length(sealed) AS bytes_before
    FROM (
        SELECT account_id, row_id, sealed
        FROM sealed_values()
        WHERE place = CAST(:place AS text) AND row_id > :after
            AND substring(sealed FROM 1 FOR length(CAST(:newest AS bytea))) IS DISTINCT FROM CAST(:newest AS bytea)
        ORDER BY row_id
        LIMIT :most
    ) AS next
) AS measured
WHERE bytes_before < :most_bytes;

-- name: replace(place, row_ids, stale, fresh)$
-- Compare and swap, in one statement.
SELECT replace_sealed(:place, :row_ids::uuid[], :stale::bytea[], :fresh::bytea[]);

-- name: sealing_otherwise(newest, lease_seconds)
-- Living processes that do not seal under this key: they could not open what a rotation seals, or would go on sealing
-- under an older key.
SELECT kind, host, pid FROM workers
WHERE stopped_at IS NULL AND heartbeat_at > now() - make_interval(secs => :lease_seconds)
    AND master_key_ids[1] IS DISTINCT FROM :newest
ORDER BY host, pid;

-- name: note_unused(unused, used)!
-- Record which older keys open nothing any more, each from the first time on, and forget those that do.
WITH forgotten AS (
    DELETE FROM unused_master_keys WHERE key_id = ANY(:used::text[])
)
INSERT INTO unused_master_keys (key_id) SELECT unnest(:unused::text[]) ON CONFLICT (key_id) DO NOTHING;

-- name: unused_keys()
-- Older keys that opened nothing when a rotation ended.
SELECT key_id, unused_since FROM unused_master_keys ORDER BY unused_since, key_id;
