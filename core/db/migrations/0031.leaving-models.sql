-- depends: 0030.shelf-search
-- Creators are told when the model of a prompt ends, was lost or renamed, or costs so much that the prompt is off sale.

CREATE FUNCTION leaving_resources(absence_tolerated interval)
RETURNS TABLE (account_id uuid, resource_id uuid, slug text, facts jsonb) LANGUAGE sql STABLE AS $$
    SELECT resource.account_id, resource.id, resource.slug, jsonb_build_object(
        'model', model.id, 'cause', why.cause, 'until', why.until, 'switch_to', others.ids
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
COMMENT ON FUNCTION leaving_resources IS 'What is on sale on a model that ends, was lost or renamed, is withdrawn, or makes every call a loss; until when it is sold, and up to three models to switch to: first the renamed one, then of the same maker, not dearer, with a similar name.';

ALTER TABLE notices DROP CONSTRAINT notices_rule_check;
ALTER TABLE notices ADD CONSTRAINT notices_rule_check CHECK (rule IN (
    'success_low', 'failures_charged', 'cost_unusual', 'calls_unusual', 'key_failing', 'key_low', 'chain_differs',
    'refunds_repeated', 'model_leaving'
));
