-- depends: 0007.provider
-- What answers look like.

ALTER TABLE resource_versions
    ADD COLUMN answer_schema json CHECK (answer_schema IS NULL OR modality = 'json');
COMMENT ON COLUMN resource_versions.answer_schema IS 'JSON Schema that every answer fits, as its creator ordered it: models answer in the order of its properties.';
