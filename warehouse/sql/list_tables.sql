-- The tables, views and macros with their comments, as `beforehand sql` lists them.
SELECT name, kind, comment AS description FROM contents ORDER BY kind, name
