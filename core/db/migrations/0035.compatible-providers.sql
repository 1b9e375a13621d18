-- depends: 0034.dearer-models
-- The operator names OpenAI-compatible providers, also with digits and hyphens.

ALTER TABLE provider_keys
    DROP CONSTRAINT provider_keys_provider_check,
    ADD CONSTRAINT provider_keys_provider_check CHECK (provider ~ '^[a-z][a-z0-9-]{0,31}$');
COMMENT ON COLUMN provider_keys.provider IS 'A row of core/providers/registry.py: openrouter, anthropic, or a name in INSTANT_PROVIDERS.';
