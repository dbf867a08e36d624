"""The ground floor: schema, migrations, records, verbs and the writer, one code path for SQLite and PostgreSQL."""
