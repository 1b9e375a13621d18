"""The named queries of each noun: `{noun}.sql` holds them, `{noun}.py` their types; one package of core uses both."""
