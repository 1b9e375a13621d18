-- depends: 0026.all-prices
-- Models that go on under another id, and kinds that we do not know.

ALTER TABLE models
    ADD COLUMN canonical_slug text GENERATED ALWAYS AS (
        CASE WHEN jsonb_typeof(raw -> 'canonical_slug') = 'string' AND length(raw ->> 'canonical_slug') <= 200
            THEN raw ->> 'canonical_slug' END
    ) STORED,
    DROP CONSTRAINT models_modality_check,
    DROP CONSTRAINT models_modality_override_check,
    ADD CONSTRAINT models_modality_check
        CHECK (modality IN ('text', 'image', 'video', 'audio', 'embedding', 'multimodal', 'other')),
    ADD CONSTRAINT models_modality_override_check
        CHECK (modality_override IN ('text', 'image', 'video', 'audio', 'embedding', 'multimodal', 'other'));
COMMENT ON COLUMN models.canonical_slug IS 'The provider''s permanent name of it. An id and its variants share one; it outlives a rename.';
COMMENT ON COLUMN models.modality IS 'Its kind, by what it makes, and for text by what it takes; other when it makes something that we do not know.';
CREATE INDEX models_canonical_slug ON models (canonical_slug);

CREATE FUNCTION model_successor(model models) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT next.id FROM models AS next
    WHERE next.canonical_slug = model.canonical_slug AND next.id <> model.id AND next.served_by = model.served_by
        AND split_part(next.id, ':', 2) = split_part(model.id, ':', 2)
        AND next.missing_since IS NULL AND next.not_sellable IS NULL AND NOT next.disabled
    ORDER BY next.first_seen_at DESC, next.id LIMIT 1
$$;
COMMENT ON FUNCTION model_successor IS 'The id under which a model that is not listed any more goes on: the same canonical slug and the same variant. NULL when there is none that can be sold.';
