-- depends: 0076.identities
-- What is for sale is listed and searched; its creator may keep a prompt out of lists.

ALTER TABLE resource_versions ADD COLUMN listed boolean NOT NULL DEFAULT true;
COMMENT ON COLUMN resource_versions.listed IS 'Whether lists, searches and manifests name it. False: it is sold to whoever knows its address.';

ALTER TABLE resources
    ADD COLUMN names text NOT NULL DEFAULT '',
    ADD COLUMN words tsvector NOT NULL DEFAULT '',
    ADD COLUMN recent_calls bigint NOT NULL DEFAULT 0;
COMMENT ON COLUMN resources.names IS 'The words of handle, slug, title and tags of the version on offer, for search; with spaces between them.';
COMMENT ON COLUMN resources.words IS 'The same words, those of its model and its kind, and the stems of title and description.';
COMMENT ON COLUMN resources.recent_calls IS 'Paid calls that were answered in the last 30 days; counted with the usage.';

-- What is counted or derived is no change that a creator's next change could lose.
DROP TRIGGER resource_changed ON resources;
CREATE TRIGGER resource_changed BEFORE UPDATE ON resources FOR EACH ROW
WHEN (
    to_jsonb(OLD) - '{names,words,recent_calls,shielded_calls,withheld_calls}'::text[]
    IS DISTINCT FROM to_jsonb(NEW) - '{names,words,recent_calls,shielded_calls,withheld_calls}'::text[]
)
EXECUTE FUNCTION count_revision();

CREATE FUNCTION describe_offer() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    version resource_versions;
BEGIN
    SELECT * INTO version FROM resource_versions WHERE id = NEW.version_id;
    IF FOUND THEN
        NEW.names := array_to_string(search_words(concat_ws(
            ' ', (SELECT handle FROM accounts WHERE id = NEW.account_id), NEW.slug, version.title,
            array_to_string(version.tags, ' ')
        )), ' ');
        NEW.words := array_to_tsvector(
            search_words(concat_ws(' ', NEW.names, version.model_id, version.modality))
        ) || to_tsvector('english', concat_ws(' ', version.title, version.description));
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER resource_offered BEFORE INSERT OR UPDATE OF version_id ON resources
FOR EACH ROW EXECUTE FUNCTION describe_offer();
UPDATE resources SET version_id = version_id WHERE version_id IS NOT NULL;

CREATE INDEX resources_words ON resources USING gin (words);
CREATE INDEX resources_names ON resources USING gin (names gin_trgm_ops);

CREATE FUNCTION offer_relevance(names text[], words tsvector, wanted text[]) RETURNS numeric
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    WITH matched AS (
        SELECT
            word = ANY(names) AS is_name,
            -- In falling order: whatever fits first counts, and the costly comparisons are made only if nothing did.
            coalesce(
                CASE WHEN word = ANY(names) THEN 1.0 END,
                CASE WHEN EXISTS (SELECT FROM unnest(names) AS known WHERE starts_with(known, word)) THEN 0.8 END,
                CASE WHEN words @@ CAST(quote_literal(word) AS tsquery) THEN 0.5 END,
                CASE WHEN words @@ plainto_tsquery('english', word) THEN 0.3 END,
                CASE WHEN length(word) >= 4 THEN (
                    SELECT 0.4 * max(similarity(word, known)) FROM unnest(names) AS known
                    WHERE similarity(word, known) >= 0.4
                ) END,
                -- A word such as "the" has no stem; it says nothing about any prompt.
                CASE WHEN numnode(plainto_tsquery('english', word)) = 0 THEN 0.0 END
            ) AS score
        FROM unnest(wanted) AS word
    )
    SELECT CASE WHEN count(*) = count(score) THEN
        round(CAST(avg(score) + 0.2 * count(*) FILTER (WHERE is_name) / greatest(cardinality(names), 1) AS numeric), 4)
    END
    FROM matched
$$;
COMMENT ON FUNCTION offer_relevance IS 'How well what is on offer fits the words of a search, up to 1.2; NULL if a word fits nowhere. Each word counts by the best place where it is found, and a name of few other words comes first.';

CREATE FUNCTION found_offers(search text) RETURNS TABLE (resource_id uuid, relevance numeric)
LANGUAGE sql STABLE PARALLEL SAFE SET pg_trgm.word_similarity_threshold = 0.4 AS $$
    WITH wanted AS MATERIALIZED (
        SELECT words, (
            SELECT CAST(string_agg(quote_literal(word) || ':*', ' | ') AS tsquery) FROM unnest(words) AS word
        ) || (SELECT plainto_tsquery('english', array_to_string(words, ' '))) AS any_word,
            array(SELECT word FROM unnest(words) AS word WHERE length(word) >= 4) AS long_words
        FROM search_words(search) AS words
        WHERE cardinality(words) > 0
    )
    SELECT candidate.id, found.relevance
    FROM wanted
    JOIN resources AS candidate
        ON candidate.words @@ wanted.any_word OR candidate.names %> ANY(wanted.long_words)
    CROSS JOIN LATERAL offer_relevance(string_to_array(candidate.names, ' '), candidate.words, wanted.words)
        AS found (relevance)
    WHERE found.relevance IS NOT NULL
$$;
COMMENT ON FUNCTION found_offers IS 'The resources in which every word of a search is found: as a name, the beginning of one, a word or a stem, or misspelt. The indexes find those with any of the words; words that say nothing find nothing by themselves.';
