"""Types for the SQL: what each named query takes and gives, written as Python that mypy can check.

`make queries` reads `core/db/queries/{noun}.sql`, has Postgres prepare every query on the migrated schema, and writes
`core/db/queries/{noun}.py` with a row class for each result and a signature for each query. `core/db/states.py` gets
the words that the schema allows in a column. `make check` fails while one of these files is not what would be written
now.

Postgres tells types and names. Whether a value may be NULL follows from the statement and the schema: from NOT NULL,
from outer joins, and from expressions such as coalesce() and count(). What a column may hold follows from its CHECK,
and what a CASE gives from its words. A parameter may be None where the statement stores it in a column that may be
NULL, or asks whether it is NULL.

What cannot be derived stands in the comment of the query, in lines that begin with `types:`. `name` is a column of the
result, `:name` a parameter, and `:name[]` the elements of one that is an array. The one column of a `$` query is
`value`. A column that may be NULL in general, and is not in the state that the query selects, is such a case.

    -- types: row=Payment payer! transaction? payouts=dict[str,str] :after? :reasons[]!

`name!` is never NULL and `name?` may be. `name=Type` gives the type. `row=Name` names the row class, and `row=Name!`
says that there always is a row. Queries of one noun may name the same class if their columns have the same names.
"""
