-- depends: 0025.roles-and-payloads
-- Every price that a provider lists: what our calls are charged by, by length of prompt, and what they are not.

ALTER TABLE models
    ADD COLUMN cache_usd numeric,
    ADD COLUMN search_usd numeric,
    ADD COLUMN picture_usd numeric,
    ADD COLUMN price_tiers jsonb NOT NULL DEFAULT '[]',
    ADD COLUMN prices jsonb NOT NULL DEFAULT '{}',
    DROP COLUMN output_usd,
    DROP COLUMN tier,
    -- A picture of a megapixel has 4096 tokens at the providers that bill it by its size.
    ADD COLUMN output_usd numeric
        GENERATED ALWAYS AS (greatest(completion_usd, image_output_usd, picture_usd / 4096)) STORED,
    ADD COLUMN tier text GENERATED ALWAYS AS (
        CASE
            WHEN completion_usd IS NULL THEN 'unknown'
            WHEN greatest(
                prompt_usd, completion_usd, image_output_usd, request_usd, cache_usd, search_usd, picture_usd
            ) = 0 AND price_tiers = '[]' THEN 'free'
            WHEN greatest(completion_usd, image_output_usd, picture_usd / 4096) <= 0.000001 THEN 'budget'
            WHEN greatest(completion_usd, image_output_usd, picture_usd / 4096) <= 0.000005 THEN 'standard'
            ELSE 'premium'
        END
    ) STORED;
COMMENT ON COLUMN models.prompt_usd IS 'US dollars per token of a prompt that is too short for every tier; the highest over the hours of the day.';
COMMENT ON COLUMN models.cache_usd IS 'US dollars per token of the prompt that the provider writes to or reads from its cache by itself, the dearer; NULL when it lists none.';
COMMENT ON COLUMN models.search_usd IS 'US dollars per search of a model that searches unasked; NULL for all others.';
COMMENT ON COLUMN models.picture_usd IS 'US dollars per picture of a model that makes pictures; NULL when it lists none.';
COMMENT ON COLUMN models.price_tiers IS 'What long prompts cost: above how many tokens, and all prices that apply from there on, shortest first.';
COMMENT ON COLUMN models.prices IS 'Every listed price by its key, also those that our calls are never charged by; null when it is no price.';
COMMENT ON COLUMN models.output_usd IS 'US dollars per token of the dearest output: what the order by price goes by.';
COMMENT ON COLUMN models.tier IS 'By the dearest output: up to 1 US dollar per million tokens, up to 5, more; free only if nothing costs anything.';

ALTER TABLE model_history
    ADD COLUMN cache_usd numeric,
    ADD COLUMN search_usd numeric,
    ADD COLUMN picture_usd numeric,
    ADD COLUMN price_tiers jsonb NOT NULL DEFAULT '[]',
    ADD COLUMN prices jsonb NOT NULL DEFAULT '{}';
COMMENT ON COLUMN model_history.prices IS 'As in models; empty in rows from before all prices were kept.';

CREATE OR REPLACE FUNCTION record_model_history() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO model_history (
        model_id, listed, prompt_usd, completion_usd, request_usd, image_output_usd, cache_usd, search_usd, picture_usd,
        price_tiers, prices, context_length, max_completion_tokens, input_modalities, output_modalities,
        supported_parameters, capabilities, not_sellable, expires_on, alias_target
    )
    VALUES (
        NEW.id, NEW.missing_since IS NULL, NEW.prompt_usd, NEW.completion_usd, NEW.request_usd, NEW.image_output_usd,
        NEW.cache_usd, NEW.search_usd, NEW.picture_usd, NEW.price_tiers, NEW.prices, NEW.context_length,
        NEW.max_completion_tokens, NEW.input_modalities, NEW.output_modalities, NEW.supported_parameters,
        NEW.capabilities, NEW.not_sellable, NEW.expires_on, NEW.alias_target
    );
    RETURN NULL;
END $$;
DROP TRIGGER model_changed ON models;
CREATE TRIGGER model_changed AFTER UPDATE ON models FOR EACH ROW
    WHEN (
        (OLD.missing_since IS NULL, OLD.prompt_usd, OLD.completion_usd, OLD.request_usd, OLD.image_output_usd,
         OLD.cache_usd, OLD.search_usd, OLD.picture_usd, OLD.price_tiers, OLD.prices,
         OLD.context_length, OLD.max_completion_tokens, OLD.input_modalities, OLD.output_modalities,
         OLD.supported_parameters, OLD.capabilities, OLD.not_sellable, OLD.expires_on, OLD.alias_target)
        IS DISTINCT FROM
        (NEW.missing_since IS NULL, NEW.prompt_usd, NEW.completion_usd, NEW.request_usd, NEW.image_output_usd,
         NEW.cache_usd, NEW.search_usd, NEW.picture_usd, NEW.price_tiers, NEW.prices,
         NEW.context_length, NEW.max_completion_tokens, NEW.input_modalities, NEW.output_modalities,
         NEW.supported_parameters, NEW.capabilities, NEW.not_sellable, NEW.expires_on, NEW.alias_target)
    )
    EXECUTE FUNCTION record_model_history();
