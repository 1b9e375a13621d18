-- depends: 0037.pictures-and-files
-- Characters of prompts, from which estimates learn how many of them are a token.

ALTER TABLE sends ADD COLUMN latin_characters integer CHECK (latin_characters >= 0),
    ADD COLUMN other_characters integer CHECK (other_characters >= 0);
COMMENT ON COLUMN sends.latin_characters IS 'How many characters of the prompt are Latin letters, digits or signs. NULL where something else than text was sent, such as a picture or a schema, and in rows of before this column.';
COMMENT ON COLUMN sends.other_characters IS 'How many are of other scripts; NULL likewise.';
