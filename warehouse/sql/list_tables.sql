-- The tables and views with their comments, as `beforehand sql` lists them.
SELECT table_name AS name, 'table' AS kind, comment AS description
FROM duckdb_tables()
WHERE NOT internal
UNION ALL
SELECT view_name, 'view', comment
FROM duckdb_views()
WHERE NOT internal
ORDER BY kind, name
