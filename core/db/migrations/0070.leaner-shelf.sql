-- depends: 0068.seen
-- A list of ten thousand models is applied within two seconds, searches know more spellings, the order by price knows fees,
-- and a creator is told of calls that nobody serves at the listed price.

-- A description was parsed whenever it was listed, which took longer than all else. Now it is read when somebody searches,
-- and only for words that are neither in the name nor a trait.
DROP TRIGGER model_described ON models;
DROP FUNCTION describe_model;
ALTER TABLE models DROP COLUMN description_words;

CREATE OR REPLACE FUNCTION search_words(words text) RETURNS text[] LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT array(
        SELECT DISTINCT btrim(word, '.')
        FROM regexp_split_to_table(
            regexp_replace(
                regexp_replace(lower(words), '([a-z]{2})[.]?([0-9])', '\1 \2', 'g'), '([0-9])([a-z]{2})', '\1 \2', 'g'
            ), '[^[:alnum:].]+'
        ) AS word
        WHERE btrim(word, '.') <> ''
        ORDER BY 1
    )
$$;
COMMENT ON FUNCTION search_words IS 'The distinct words of a text, in lower case. Two letters beside a digit are a word of their own, so that gpt5nano and gpt-5-nano are the same, and so are o4mini and o4-mini; v3, o3, 4o and 70b are words.';

CREATE FUNCTION description_pattern(word text) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT '\m(?:' || replace(word, '.', '\.') || '\M|'
        || CASE WHEN length(stem) < 4 THEN replace(stem, '.', '\.') || 's?\M' ELSE replace(rtrim(stem, 'ei'), '.', '\.') END
        || ')'
    FROM (SELECT (ts_lexize('english_stem', word))[1]) AS lexeme (stem)
$$;
COMMENT ON FUNCTION description_pattern IS 'The regular expression of a word of `search_words` in a description in lower case: the word itself, what begins with its stem, or for a stem of up to three letters its plural. NULL for a word that says nothing, such as "the".';

CREATE OR REPLACE FUNCTION search_relevance(model models, wanted text[]) RETURNS numeric LANGUAGE sql STABLE PARALLEL SAFE AS $$
    WITH matched AS (
        SELECT
            word = ANY(model.name_words) AS is_name,
            -- In falling order: whatever fits first counts, and the costly comparisons are made only if nothing did.
            coalesce(
                CASE WHEN word = ANY(model.name_words) THEN 1.0 END,
                CASE WHEN word = ANY(trait.words) THEN 0.9 END,
                CASE WHEN EXISTS (SELECT FROM unnest(model.name_words) AS known WHERE starts_with(known, word))
                    THEN 0.8 END,
                CASE WHEN length(word) >= 4 THEN (
                    SELECT 0.7 * max(similarity(word, known)) FROM unnest(model.name_words) AS known
                    WHERE similarity(word, known) >= 0.4
                ) END,
                CASE WHEN lower(left(model.description, 20000)) ~ description_pattern(word) THEN 0.2 END
            ) AS score
        FROM (SELECT trait_words(model)) AS trait (words)
        CROSS JOIN unnest(wanted) AS word
    )
    SELECT CASE WHEN count(*) = count(score) THEN
        round(CAST(avg(score) + 0.2 * count(*) FILTER (WHERE is_name) / cardinality(model.name_words) AS numeric), 4)
    END
    FROM matched
$$;

ALTER TABLE models
    DROP COLUMN name_words,
    DROP COLUMN output_usd,
    DROP COLUMN tier,
    -- Not generated: that would compute it again with every change of a price.
    ADD COLUMN name_words text[] NOT NULL DEFAULT '{}',
    -- A picture of a megapixel has 4096 tokens at the providers that bill it by its size.
    ADD COLUMN output_usd numeric GENERATED ALWAYS AS (
        greatest(completion_usd, image_output_usd, picture_usd / 4096)
            + (coalesce(request_usd, 0) + coalesce(search_usd, 0)) / 1000
    ) STORED,
    ADD COLUMN tier text GENERATED ALWAYS AS (
        CASE
            WHEN completion_usd IS NULL THEN 'unknown'
            WHEN greatest(
                prompt_usd, completion_usd, image_output_usd, request_usd, cache_usd, search_usd, picture_usd
            ) = 0 AND price_tiers = '[]' THEN 'free'
            WHEN greatest(completion_usd, image_output_usd, picture_usd / 4096)
                + (coalesce(request_usd, 0) + coalesce(search_usd, 0)) / 1000 <= 0.000001 THEN 'budget'
            WHEN greatest(completion_usd, image_output_usd, picture_usd / 4096)
                + (coalesce(request_usd, 0) + coalesce(search_usd, 0)) / 1000 <= 0.000005 THEN 'standard'
            ELSE 'premium'
        END
    ) STORED;
COMMENT ON COLUMN models.name_words IS 'The words of the id and the name, for search.';
COMMENT ON COLUMN models.output_usd IS 'US dollars per token of the dearest output, of an answer of 1000 tokens: a fee for each request or search is spread over them. The order by price goes by it.';
COMMENT ON COLUMN models.tier IS 'By output_usd: up to 1 US dollar per million tokens, up to 5, more; free only if nothing costs anything.';

CREATE FUNCTION name_model() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.name_words := search_words(NEW.id || ' ' || NEW.name);
    RETURN NEW;
END
$$;
UPDATE models SET name_words = search_words(id || ' ' || name);
CREATE TRIGGER model_named BEFORE INSERT ON models FOR EACH ROW EXECUTE FUNCTION name_model();
CREATE TRIGGER model_renamed BEFORE UPDATE OF id, name ON models FOR EACH ROW
    WHEN ((OLD.id, OLD.name) IS DISTINCT FROM (NEW.id, NEW.name)) EXECUTE FUNCTION name_model();

-- Few calls fail so, so this index is small.
CREATE INDEX usage_log_unserved ON usage_log (version_id, created_at)
WHERE detail IN ('provider_404_filtered', 'provider_404_price');

CREATE FUNCTION unserved_since(version resource_versions, creator_id uuid, least_calls integer) RETURNS timestamptz
LANGUAGE sql STABLE AS $$
    SELECT third.created_at
    FROM (
        SELECT created_at FROM usage_log
        WHERE version_id = version.id AND detail IN ('provider_404_filtered', 'provider_404_price')
        ORDER BY created_at DESC OFFSET least_calls - 1 LIMIT 1
    ) AS third
    WHERE NOT EXISTS (
        SELECT FROM usage_log AS other
        WHERE other.account_id = creator_id AND other.created_at >= third.created_at AND other.version_id = version.id
            AND other.detail IS DISTINCT FROM 'provider_404_filtered' AND other.detail IS DISTINCT FROM 'provider_404_price'
            AND other.outcome <> 'declined'
    )
$$;
COMMENT ON FUNCTION unserved_since IS 'When the first of the last so many calls of a version was created, if no endpoint served any of them within its limits of price and provider; NULL otherwise. Declined calls do not count.';

CREATE OR REPLACE FUNCTION leaving_resources(absence_tolerated interval)
RETURNS TABLE (account_id uuid, resource_id uuid, slug text, facts jsonb) LANGUAGE sql STABLE AS $$
    SELECT resource.account_id, resource.id, resource.slug, jsonb_build_object(
        'model', model.id, 'cause', why.cause, 'until',
        -- What has a date is told once for it, so there is none of what may come back.
        CASE
            WHEN why.cause IN ('unfit', 'loss', 'unserved', 'dear', 'fallback') THEN NULL
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
                -- A prompt on a model that searches the web unasked may live on what it finds.
                AND ('web_search_options' = ANY(other.supported_parameters)
                    OR NOT 'web_search_options' = ANY(model.supported_parameters))
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
                -- A list that changed since may have changed what serves it.
                WHEN unserved_since(version, resource.account_id, 3) > model.changed_at THEN 'unserved'
                WHEN model.expires_on IS NOT NULL THEN 'ends'
                -- What could cost more than its price when it was published was warned of then.
                WHEN repriced.worst_cost_usd * 1000000 > version.price_atomic AND version.allows_loss IS NOT TRUE
                    AND version.worst_cost_usd * 1000000 <= version.price_atomic THEN 'dear'
                WHEN lost.ids <> '{}' THEN 'fallback'
            END AS cause
    ) AS why
    WHERE resource.archived_at IS NULL AND why.cause IS NOT NULL
$$;
COMMENT ON FUNCTION leaving_resources IS 'What is on sale on a model that ends, was lost or renamed, is withdrawn, does not serve it any more, makes every call a loss, is served by nobody at its listed price, can cost more than the price since it got dearer, or has fallbacks that nothing is sold on; until when it is sold, and up to three models to switch to that serve it: first the renamed one, then of the same maker, not dearer, with a similar name; for a prompt on a model that searches the web, only others that do.';
