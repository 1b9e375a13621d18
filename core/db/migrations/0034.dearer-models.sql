-- depends: 0033.day-reports
-- A call that fails because its model got dearer asks for a sync of the catalog, and a creator is told when a call can cost
-- more than its price.

CREATE TABLE price_syncs (
    one      boolean PRIMARY KEY DEFAULT true CHECK (one),
    asked_at timestamptz,
    began_at timestamptz
);
INSERT INTO price_syncs DEFAULT VALUES;
COMMENT ON TABLE price_syncs IS 'One row, which decides for all processes when a sync begins that failed calls asked for.';
COMMENT ON COLUMN price_syncs.asked_at IS 'When the first call failed for its price since the last such sync. NULL: never.';
COMMENT ON COLUMN price_syncs.began_at IS 'When the last such sync began. NULL: never.';

CREATE OR REPLACE FUNCTION leaving_resources(absence_tolerated interval)
RETURNS TABLE (account_id uuid, resource_id uuid, slug text, facts jsonb) LANGUAGE sql STABLE AS $$
    SELECT resource.account_id, resource.id, resource.slug, jsonb_build_object(
        'model', model.id, 'cause', why.cause, 'until', why.until, 'switch_to', others.ids,
        'price_atomic', version.price_atomic, 'worst_cost_usd', CAST(repriced.worst_cost_usd AS text)
    )
    FROM resources AS resource
    JOIN resource_versions AS version ON version.id = resource.version_id
    JOIN models AS model ON model.id = version.model_id
    LEFT JOIN repriced_versions AS repriced ON repriced.version_id = version.id
    CROSS JOIN LATERAL (
        SELECT coalesce(array_agg(id ORDER BY place), '{}') AS ids, coalesce(bool_or(is_renamed), false) AS has_renamed
        FROM (
            SELECT other.id, is_renamed, row_number() OVER (
                ORDER BY is_renamed DESC, other.provider = model.provider DESC,
                    other.output_usd <= model.output_usd DESC, similarity(other.id, model.id) DESC, other.id
            ) AS place
            FROM models AS other
            CROSS JOIN LATERAL (
                SELECT (other.raw ->> 'canonical_slug' = model.raw ->> 'canonical_slug') IS TRUE AS is_renamed
            ) AS same
            WHERE other.id <> model.id AND other.served_by = model.served_by AND other.missing_since IS NULL
                AND other.expires_on IS NULL AND other.output_modalities @> model.output_modalities
                AND model_obstacle(other, absence_tolerated) IS NULL
        ) AS sellable
        WHERE place <= 3
    ) AS others
    CROSS JOIN LATERAL (
        SELECT
            CASE
                WHEN model.missing_since IS NOT NULL AND others.has_renamed THEN 'renamed'
                WHEN model_obstacle(model, absence_tolerated) IS NOT NULL THEN 'withdrawn'
                WHEN model.missing_since IS NOT NULL THEN 'lost'
                WHEN model.expires_on IS NOT NULL THEN 'ends'
                WHEN repriced.is_certain_loss AND version.allows_loss = false THEN 'loss'
                -- What could cost more than its price when it was published was warned of then.
                WHEN repriced.worst_cost_usd * 1000000 > version.price_atomic AND version.allows_loss IS NOT TRUE
                    AND version.worst_cost_usd * 1000000 <= version.price_atomic THEN 'dear'
            END AS cause,
            CASE
                WHEN model.missing_since IS NOT NULL THEN to_char(
                    (model.missing_since + absence_tolerated) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI "UTC"'
                )
                ELSE CAST(model.expires_on AS text)
            END AS until
    ) AS why
    WHERE resource.archived_at IS NULL AND why.cause IS NOT NULL
$$;
COMMENT ON FUNCTION leaving_resources IS 'What is on sale on a model that ends, was lost or renamed, is withdrawn, makes every call a loss, or can cost more than the price since it got dearer; until when it is sold, and up to three models to switch to: first the renamed one, then of the same maker, not dearer, with a similar name.';
