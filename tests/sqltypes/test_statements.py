"""What is derived from a statement: which columns and parameters may be NULL, and which words they may be."""

import pytest

from sqltypes.facts import NOT_NULL, Fact, Parameter
from sqltypes.schema import Function, Schema, expression_of
from sqltypes.scope import UnknownColumnError
from sqltypes.statements import read, read_functions, read_generated

STATES = frozenset({"open", "shut"})


def schema() -> Schema:
    """Shops, each perhaps with an owner."""
    shops = {"id": NOT_NULL, "owner_id": Fact(), "state": Fact(False, STATES), "note": Fact()}
    owners = {"id": NOT_NULL, "name": NOT_NULL, "shop_id": NOT_NULL}
    return Schema({"shops": shops, "owners": owners}, {}, {})


def nullable(text: str, parameters: int = 0) -> list[bool]:
    """Of each column, whether it may be NULL."""
    return [fact.nullable for fact in read(schema(), text, parameters).columns]


@pytest.mark.parametrize(
    ("text", "may_be_null"),
    [
        ("SELECT id, note FROM shops", [False, True]),
        ("SELECT * FROM shops", [False, True, False, True]),
        ("SELECT one.* FROM shops AS one", [False, True, False, True]),
        ("SELECT name FROM shops JOIN owners ON owners.id = owner_id", [False]),
        ("SELECT state, name FROM shops LEFT JOIN owners ON owners.id = owner_id", [False, True]),
        ("SELECT state, name FROM shops RIGHT JOIN owners ON owners.id = owner_id", [True, False]),
        ("SELECT state, name FROM shops FULL JOIN owners ON owners.id = owner_id", [True, True]),
        ("SELECT id, state, name FROM shops FULL JOIN owners USING (id)", [False, True, True]),
        ("SELECT id FROM shops LEFT JOIN owners USING (id)", [False]),
        ("SELECT a.id, b.id FROM shops AS a LEFT JOIN shops AS b ON b.id = a.owner_id", [False, True]),
        ("SELECT shop.id FROM owners LEFT JOIN LATERAL (SELECT id FROM shops LIMIT 1) AS shop ON true", [True]),
        ("SELECT id FROM shops UNION ALL SELECT owner_id FROM shops", [True]),
        ("SELECT owner_id FROM shops WHERE owner_id IS NOT NULL AND state = 'open'", [False]),
        ("SELECT owner_id FROM shops WHERE owner_id IS NOT NULL OR state = 'open'", [True]),
        ("WITH few AS (SELECT id, note FROM shops) SELECT * FROM few", [False, True]),
        ("WITH new AS (INSERT INTO shops (id) VALUES (1) RETURNING id, note) SELECT * FROM new", [False, True]),
        ("UPDATE shops SET note = 'x' FROM owners WHERE owners.id = owner_id RETURNING shops.id, name", [False, False]),
        ("DELETE FROM shops RETURNING owner_id", [True]),
        ("SELECT NULL::text, 1, 'x', now()", [True, False, False, False]),
        ("SELECT coalesce(note, 'none'), coalesce(note, owner_id::text) FROM shops", [False, True]),
        ("SELECT count(*), max(id) FROM shops", [False, True]),
        ("SELECT max(id), max(note), max(id) FILTER (WHERE id > 3) FROM shops GROUP BY state", [False, True, True]),
        ("SELECT id + 1, id + owner_id, note || 'x' FROM shops", [False, True, True]),
        ("SELECT note IS NULL, note IS DISTINCT FROM 'x', note = 'x' FROM shops", [False, False, True]),
        ("SELECT CASE WHEN id > 1 THEN 'a' END, CASE WHEN id > 1 THEN 'a' ELSE 'b' END FROM shops", [True, False]),
        ("SELECT EXISTS (SELECT 1), (SELECT id FROM shops), (SELECT count(*) FROM shops)", [False, True, False]),
        ("SELECT n, n + 1 FROM generate_series(1, 3) AS n", [False, False]),
        ("SELECT told ->> 'x' FROM (SELECT jsonb_build_object('x', 1) AS told) AS one", [True]),
        ("SELECT given FROM unnest($1::uuid[]) AS given", [False]),
        ("SELECT histogram_percentile(id, 1) FROM shops", [True]),
    ],
)
def test_columns_that_may_be_null(text: str, may_be_null: list[bool]) -> None:
    """Tables, joins, queries within queries, and expressions."""
    assert nullable(text, text.count("$1")) == may_be_null


@pytest.mark.parametrize(
    ("text", "known"),
    [
        ("SELECT * FROM shops WHERE id = $1", Parameter()),
        ("SELECT * FROM shops WHERE $1::int IS NULL OR id = $1", Parameter(nullable=True)),
        ("SELECT * FROM shops WHERE note IS NOT DISTINCT FROM $1", Parameter(nullable=True)),
        ("SELECT * FROM shops WHERE id IS NOT DISTINCT FROM $1", Parameter()),
        ("UPDATE shops SET id = coalesce($1, id)", Parameter(nullable=True)),
        ("INSERT INTO shops (note) VALUES ($1)", Parameter(nullable=True)),
        ("INSERT INTO shops (id) VALUES ($1)", Parameter()),
        ("INSERT INTO shops (note) SELECT note FROM unnest($1::text[]) AS note", Parameter(has_null=True)),
        ("INSERT INTO shops (id) SELECT id FROM unnest($1::int[]) AS id", Parameter()),
        ("SELECT 1 FROM unnest($1::int[]) AS id WHERE id IS NULL", Parameter(has_null=True)),
        ("SELECT 1 FROM unnest($1::int[]) AS id WHERE $1::int[] IS NULL", Parameter(nullable=True)),
        ("SELECT * FROM shops WHERE state = $1", Parameter(words=STATES)),
        ("SELECT * FROM shops WHERE state = ANY($1::text[])", Parameter(words=STATES)),
        ("UPDATE shops SET state = $1", Parameter(words=STATES)),
        ("SELECT CASE $1 WHEN 'a' THEN 1 WHEN 'b' THEN 2 END", Parameter()),
    ],
)
def test_parameters(text: str, known: Parameter) -> None:
    """A parameter may be None where NULL means something, and is of the words of what it meets."""
    assert read(schema(), text, 1).parameters == [known]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("SELECT state FROM shops", STATES),
        ("SELECT state FROM owners LEFT JOIN shops ON shops.id = shop_id", STATES),
        ("SELECT coalesce(state, 'gone') FROM shops", STATES | {"gone"}),
        ("SELECT CASE WHEN id > 1 THEN 'a' ELSE 'b' END FROM shops", frozenset("ab")),
        ("SELECT CASE WHEN id > 1 THEN 'a' ELSE note END FROM shops", None),
        ("SELECT 'a' AS code UNION ALL SELECT 'b'", frozenset("ab")),
        ("SELECT concat('a', state) FROM shops", None),
        ("SELECT '1 hour'::interval", None),
    ],
)
def test_words(text: str, words: frozenset[str] | None) -> None:
    """What a text can be is known from its column's CHECK, or from the words of the statement."""
    (fact,) = read(schema(), text, 0).columns

    assert fact.words == words


def test_generated_columns_are_read() -> None:
    """A column that Postgres computes is what its expression is."""
    known = schema()
    known.tables["shops"]["size"] = Fact()
    known.generated["shops", "size"] = expression_of("CASE WHEN id > 9 THEN 'big' ELSE 'small' END")
    read_generated(known)

    assert known.tables["shops"]["size"] == Fact(False, frozenset({"big", "small"}))


def test_functions_are_read() -> None:
    """What a function written in SQL gives is what its body says."""
    known = schema()
    known.functions.extend(
        [
            Function("open_shops", "SELECT id, note FROM shops", [], ["shop_id", "hint"]),
            Function("trouble", "SELECT CASE WHEN shop.id > 9 THEN 'big' END", [("shop", "shops")], ["trouble"]),
            Function("doubled", "SELECT 2 * number", [("number", "integer")], ["doubled"]),
            Function("some_id", "SELECT id FROM shops", [], ["some_id"]),
        ]
    )
    read_functions(known)
    text = "SELECT shop_id, hint, trouble(shops), doubled(3), doubled(owner_id), some_id() FROM open_shops(), shops"

    columns = read(known, text, 0).columns

    assert [fact.nullable for fact in columns] == [False, True, True, False, True, True]
    assert columns[2].words == {"big"}


@pytest.mark.parametrize(
    ("text", "has_row"),
    [
        ("SELECT count(*) FROM shops", True),
        ("SELECT now()", True),
        ("INSERT INTO shops (id) VALUES (1) RETURNING id", True),
        ("INSERT INTO shops (id) VALUES (1) ON CONFLICT DO NOTHING RETURNING id", False),
        ("SELECT count(*) FROM shops GROUP BY state", False),
        ("SELECT id FROM shops", False),
        ("SELECT 1 WHERE EXISTS (SELECT 1 FROM shops)", False),
    ],
)
def test_whether_there_always_is_a_row(text: str, has_row: bool) -> None:
    """What adds up, or takes from nowhere, always gives a row."""
    assert read(schema(), text, 0).has_row is has_row


def test_what_is_not_understood_is_an_error() -> None:
    """A statement that is read wrongly stops `make queries` instead of getting wrong types."""
    with pytest.raises(UnknownColumnError):
        read(schema(), "SELECT nothing_such FROM shops", 0)
    with pytest.raises(NotImplementedError):
        read(schema(), "SELECT xmlelement(name x)", 0)
