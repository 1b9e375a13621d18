-- depends: 0029.fallbacks
-- The catalog is searched by relevance: words of the id and the name first, also misspelt, then what a model can do, then
-- its description.

-- A trusted extension: the owner of the database may add it. Postgres servers have it in their contrib package.
CREATE EXTENSION IF NOT EXISTS pg_trgm;

-- Only built-in functions: a restored backup computes the columns again before it has a search_path.
CREATE FUNCTION search_words(words text) RETURNS text[] LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT array(
        SELECT DISTINCT btrim(word, '.')
        FROM regexp_split_to_table(
            regexp_replace(lower(words), '([a-z]{2})[.]?([0-9])', '\1 \2', 'g'), '[^[:alnum:].]+'
        ) AS word
        WHERE btrim(word, '.') <> ''
        ORDER BY 1
    )
$$;
COMMENT ON FUNCTION search_words IS 'The distinct words of a text, in lower case. A number that follows two letters is a word of its own, so that gpt5 and gpt-5 are the same; v3, o3 and 4o are words.';

ALTER TABLE models
    ADD COLUMN name_words text[] GENERATED ALWAYS AS (search_words(id || ' ' || name)) STORED,
    ADD COLUMN description_words tsvector GENERATED ALWAYS AS (
        to_tsvector(
            'english',
            CASE jsonb_typeof(raw -> 'description') WHEN 'string' THEN left(raw ->> 'description', 20000) ELSE '' END
        )
    ) STORED;
COMMENT ON COLUMN models.name_words IS 'The words of the id and the name, for search.';
COMMENT ON COLUMN models.description_words IS 'The stems of the description, for search; of a very long one only its beginning counts.';

CREATE FUNCTION trait_words(model models) RETURNS text[] LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT array(
        SELECT unnest(trait.words)
        FROM (
            VALUES
            (true, ARRAY['model', 'models', 'llm', 'ai', 'latest', 'newest', 'best', 'good']),
            (model.tier IN ('free', 'budget'), ARRAY['cheap', 'cheapest', 'budget', 'affordable', 'inexpensive']),
            (model.tier IN ('premium'), ARRAY['premium', 'expensive']),
            (model.context_length >= 500000, ARRAY['long', 'context']),
            ('vision' = ANY(model.capabilities), ARRAY['vision', 'multimodal', 'ocr']),
            ('image_output' = ANY(model.capabilities), ARRAY['image', 'images', 'picture', 'pictures', 'generation']),
            ('audio_input' = ANY(model.capabilities), ARRAY['audio', 'listening']),
            ('video_input' = ANY(model.capabilities), ARRAY['video']),
            ('files' = ANY(model.capabilities), ARRAY['file', 'files', 'pdf', 'documents']),
            ('tools' = ANY(model.capabilities), ARRAY['tool', 'tools', 'agent', 'agents']),
            ('json' = ANY(model.capabilities), ARRAY['json', 'structured']),
            ('reasoning' = ANY(model.capabilities), ARRAY['reasoning', 'thinking']),
            ('web_search_options' = ANY(model.supported_parameters), ARRAY['web', 'search', 'online', 'internet'])
        ) AS trait (is_true, words)
        WHERE trait.is_true
    )
$$;
COMMENT ON FUNCTION trait_words IS 'The words by which people ask for what a model can do and costs. Any model may be meant by "best" or "latest": the newest of equals comes first.';

CREATE FUNCTION search_relevance(model models, wanted text[]) RETURNS numeric LANGUAGE sql STABLE PARALLEL SAFE AS $$
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
                CASE WHEN model.description_words @@ plainto_tsquery('english', word) THEN 0.2 END
            ) AS score
        FROM (SELECT trait_words(model)) AS trait (words)
        CROSS JOIN unnest(wanted) AS word
    )
    SELECT CASE WHEN count(*) = count(score) THEN
        round(CAST(avg(score) + 0.2 * count(*) FILTER (WHERE is_name) / cardinality(model.name_words) AS numeric), 4)
    END
    FROM matched
$$;
COMMENT ON FUNCTION search_relevance IS 'How well a model fits the words of a search, up to 1.2; NULL if a word fits nowhere. Each word counts by the best place where it is found, and a model whose name has few other words comes first.';
