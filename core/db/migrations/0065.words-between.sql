-- depends: 0064.models-that-fall-short
-- Words between the words that matter fit every model, and open weights are found by the names that people give them.

CREATE OR REPLACE FUNCTION trait_words(model models) RETURNS text[] LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT array(
        SELECT unnest(trait.words)
        FROM (
            VALUES
            (true, ARRAY[
                'model', 'models', 'llm', 'ai', 'latest', 'newest', 'best', 'good',
                'a', 'an', 'and', 'for', 'from', 'i', 'in', 'of', 'on', 'or', 'that', 'the', 'to', 'which', 'with'
            ]),
            (coalesce(model.raw ->> 'hugging_face_id', '') <> '', ARRAY['open', 'source', 'weights', 'opensource']),
            ('text' = ANY(model.output_modalities), ARRAY['text']),
            (model.tier IN ('free', 'budget'), ARRAY['cheap', 'cheapest', 'budget', 'affordable', 'inexpensive']),
            (model.tier IN ('premium'), ARRAY['premium', 'expensive']),
            (model.context_length >= 500000, ARRAY['long', 'context']),
            ('vision' = ANY(model.capabilities), ARRAY['vision', 'multimodal', 'ocr']),
            ('image_output' = ANY(model.capabilities), ARRAY['image', 'images', 'picture', 'pictures', 'generation', 'generator']),
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
