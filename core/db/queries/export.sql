-- name: versions(account_id)
-- Every version with all its columns, also those that are added later; the template is opened by its reader.
-- types: document!
SELECT resources.slug, resources.archived_at, version.id, version.sealed_template,
    CAST(to_jsonb(version) AS text) AS document
FROM resource_versions AS version
JOIN resources ON resources.id = version.resource_id
WHERE resources.account_id = :account_id
ORDER BY resources.slug, version.number;
