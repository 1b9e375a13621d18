-- depends: 0038.prompt-characters
-- The words of a description are computed when it changes, and not again with every change of a price.

ALTER TABLE models ALTER COLUMN description_words DROP EXPRESSION;

CREATE FUNCTION describe_model() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' OR NEW.raw -> 'description' IS DISTINCT FROM OLD.raw -> 'description' THEN
        NEW.description_words := to_tsvector(
            'english',
            CASE jsonb_typeof(NEW.raw -> 'description') WHEN 'string' THEN left(NEW.raw ->> 'description', 20000) ELSE '' END
        );
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER model_described BEFORE INSERT OR UPDATE OF raw ON models
FOR EACH ROW EXECUTE FUNCTION describe_model();
