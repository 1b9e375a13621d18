-- name: newest_sealed()
-- The newest values under each master key, of those that are kept for as long as their owners: provider keys, prompt
-- templates and addresses of notices. An envelope begins with 0x01, the length of the key's id, and the id. Several of
-- them, because a single row may be damaged. The operator's addresses are sealed for the account of zeros.
-- types: row=SealedRow key_id! account_id! row_id! place! sealed!
SELECT key_id, account_id, row_id, place, sealed
FROM (
    SELECT stored.*, substring(sealed FROM 3 FOR get_byte(sealed, 1)) AS key_id,
        row_number() OVER (
            PARTITION BY substring(sealed FROM 3 FOR get_byte(sealed, 1)) ORDER BY created_at DESC, row_id
        ) AS age
    FROM (
        SELECT 'provider_keys.sealed_key' AS place, account_id, id AS row_id, sealed_key AS sealed, created_at
        FROM provider_keys
        UNION ALL
        SELECT 'resource_versions.sealed_template', resources.account_id, resource_versions.id, sealed_template,
            resource_versions.created_at
        FROM resource_versions JOIN resources ON resources.id = resource_versions.resource_id
        UNION ALL
        SELECT 'notice_addresses.sealed_url', coalesce(account_id, '00000000-0000-0000-0000-000000000000'), id,
            sealed_url, created_at
        FROM notice_addresses
    ) AS stored
    -- A damaged value may be too short to have an id.
    WHERE length(sealed) > 2 AND substring(sealed FROM 1 FOR 1) = '\x01'
) AS numbered
WHERE age <= 3;
