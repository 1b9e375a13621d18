-- depends: 0009.costs
-- Providers beside OpenRouter: a creator has one key at each, and a model's id says where it is called.

ALTER TABLE provider_keys
    DROP CONSTRAINT provider_keys_provider_check,
    ADD CONSTRAINT provider_keys_provider_check CHECK (provider ~ '^[a-z]+$');
COMMENT ON TABLE provider_keys IS 'The creator''s own keys, one at each model provider, sealed; nobody can read them back.';
COMMENT ON COLUMN provider_keys.provider IS 'A row of core/providers.py.';
COMMENT ON COLUMN provider_keys.key_sha256 IS 'Finds duplicates without the key. OpenRouter''s own hash of a key is the same, and so links to its pages.';
COMMENT ON COLUMN provider_keys.label IS 'The masked form that the provider itself shows (sk-or-v1-0e6...1c96).';

ALTER TABLE models
    DROP COLUMN provider,
    ADD COLUMN provider text GENERATED ALWAYS AS (split_part(split_part(ltrim(id, '~'), '/', 1), ':', 1)) STORED,
    ADD COLUMN served_by text GENERATED ALWAYS AS (
        CASE WHEN id ~ '^[^/:]+:' THEN split_part(id, ':', 1) ELSE 'openrouter' END
    ) STORED;
COMMENT ON TABLE models IS 'What prompts can be sold on: OpenRouter''s catalog as last seen, and the operator''s own rows of other providers. Rows are never deleted: executions and versions refer to them.';
COMMENT ON COLUMN models.provider IS 'Who makes it, as far as its id says.';
COMMENT ON COLUMN models.served_by IS 'Where it is called, on whose key, as `core.model.place` reads the id: anthropic:claude-sonnet-4-5 at Anthropic, anthropic/claude-sonnet-4.5 at OpenRouter.';

CREATE FUNCTION is_sold_on(keys provider_keys) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT EXISTS (
        SELECT 1
        FROM resources
        JOIN resource_versions ON resource_versions.id = resources.version_id
        JOIN models ON models.id = resource_versions.model_id
        WHERE resources.account_id = keys.account_id AND archived_at IS NULL AND models.served_by = keys.provider
    )
$$;
COMMENT ON FUNCTION is_sold_on IS 'Whether its creator has something on sale that is called on this key.';
