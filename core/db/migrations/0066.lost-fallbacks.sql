-- depends: 0065.words-between
-- A creator is told of a fallback that cannot answer any more, and what takes a prompt off sale is told each time.

CREATE OR REPLACE FUNCTION leaving_resources(absence_tolerated interval)
RETURNS TABLE (account_id uuid, resource_id uuid, slug text, facts jsonb) LANGUAGE sql STABLE AS $$
    SELECT resource.account_id, resource.id, resource.slug, jsonb_build_object(
        'model', model.id, 'cause', why.cause, 'until',
        -- What has a date is told once for it, so there is none of what may come back.
        CASE
            WHEN why.cause IN ('unfit', 'loss', 'dear', 'fallback') THEN NULL
            WHEN model.missing_since IS NOT NULL THEN to_char(
                (model.missing_since + absence_tolerated) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI "UTC"'
            )
            ELSE CAST(model.expires_on AS text)
        END,
        'switch_to', others.ids, 'fallbacks', version.fallbacks, 'lost_fallbacks', lost.ids,
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
                AND other.expires_on IS NULL AND model_obstacle(other, absence_tolerated) IS NULL AND serves(other, version)
        ) AS sellable
        WHERE place <= 3
    ) AS others
    CROSS JOIN LATERAL (
        SELECT coalesce(array_agg(other.id ORDER BY other.id), '{}') AS ids
        FROM unnest(version.fallbacks) AS declared (id)
        JOIN models AS other ON other.id = declared.id
        WHERE model_obstacle(other, absence_tolerated) IS NOT NULL OR NOT serves(other, version)
    ) AS lost
    CROSS JOIN LATERAL (
        SELECT
            CASE
                WHEN model.missing_since IS NOT NULL AND others.has_renamed THEN 'renamed'
                WHEN model_obstacle(model, absence_tolerated) IS NOT NULL THEN 'withdrawn'
                WHEN NOT serves(model, version) THEN 'unfit'
                WHEN repriced.is_certain_loss AND version.allows_loss = false THEN 'loss'
                WHEN model.missing_since IS NOT NULL THEN 'lost'
                WHEN model.expires_on IS NOT NULL THEN 'ends'
                -- What could cost more than its price when it was published was warned of then.
                WHEN repriced.worst_cost_usd * 1000000 > version.price_atomic AND version.allows_loss IS NOT TRUE
                    AND version.worst_cost_usd * 1000000 <= version.price_atomic THEN 'dear'
                WHEN lost.ids <> '{}' THEN 'fallback'
            END AS cause
    ) AS why
    WHERE resource.archived_at IS NULL AND why.cause IS NOT NULL
$$;
COMMENT ON FUNCTION leaving_resources IS 'What is on sale on a model that ends, was lost or renamed, is withdrawn, does not serve it any more, makes every call a loss, can cost more than the price since it got dearer, or has fallbacks that nothing is sold on; until when it is sold, and up to three models to switch to that serve it: first the renamed one, then of the same maker, not dearer, with a similar name.';
